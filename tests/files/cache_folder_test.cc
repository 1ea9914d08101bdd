#include "files/cache_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/error_of.h"
#include "support/temp_folder.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class CacheFolderTest : public testing::Test {
 protected:
  fs::path touch(const std::string& relative, size_t bytes = 10) {
    const fs::path path = cache_ / relative;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << std::string(bytes, 'x');
    return path;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const CachedModel& model : list_cached_models(cache_)) names.push_back(model.name);
    return names;
  }
  void remove(std::string_view reference) {
    remove_cached_model(find_cached_model(reference, cache_), cache_);
  }

  test::TempFolder folder_;
  fs::path cache_ = folder_ / "cache";
};

TEST_F(CacheFolderTest, ListsEachModelUnderANameThatStandsForIt) {
  EXPECT_THAT(names(), ElementsAre());
  touch("SmolLM2-135M-Instruct.Q4_1.gguf");
  touch("mine.gguf");
  touch("hub/acme/tiny/q/a.gguf");
  touch("url/example.org/m/a b.gguf");
  touch("url/127.0.0.1_8080/a.gguf");
  touch("notes.txt");
  touch("hub/acme/tiny/README.md");
  EXPECT_THAT(names(), ElementsAre((cache_ / "mine.gguf").string(), "hf:acme/tiny/q/a.gguf",
                                   "https://127.0.0.1:8080/a.gguf",
                                   "https://example.org/m/a%20b.gguf", "smollm2:135m"));
  for (const std::string& name : names()) EXPECT_EQ(find_cached_model(name, cache_).name, name);
  for (const CachedModel& model : list_cached_models(cache_)) {
    const auto age = fs::file_time_type::clock::now() - model.modified;
    EXPECT_LT(age, std::chrono::hours(1)) << model.name;
    EXPECT_GT(age, -std::chrono::hours(1)) << model.name;
  }
}

TEST_F(CacheFolderTest, ASplitModelIsOneAndWholeWithAllItsMembers) {
  touch("hub/a/b/m-00002-of-00002.gguf", 5);
  ASSERT_THAT(names(), ElementsAre("hf:a/b/m-00001-of-00002.gguf"));
  EXPECT_FALSE(list_cached_models(cache_)[0].is_whole);
  touch("hub/a/b/m-00001-of-00002.gguf", 7);
  const auto models = list_cached_models(cache_);
  ASSERT_EQ(models.size(), 1u);
  EXPECT_TRUE(models[0].is_whole);
  EXPECT_EQ(models[0].bytes, 12u);
  EXPECT_EQ(models[0].path, cache_ / "hub/a/b/m-00001-of-00002.gguf");
}

TEST_F(CacheFolderTest, WhatIsLeftOfADownloadIsListedAndGoesToo) {
  touch("SmolLM2-135M-Instruct.Q4_1.gguf.part", 100);
  touch("SmolLM2-135M-Instruct.Q4_1.gguf.part.etag", 1);
  touch("SmolLM2-135M-Instruct.Q4_1.gguf.wheels/a-1.0-py3-none-any.whl.part", 20);
  touch("hub/a/b/c.gguf.part", 3);
  EXPECT_THAT(names(), ElementsAre("hf:a/b/c.gguf", "smollm2:135m"));
  EXPECT_EQ(find_cached_model("smollm2:135m", cache_).bytes, 121u);
  EXPECT_FALSE(find_cached_model("smollm2:135m", cache_).is_whole);
  remove("smollm2:135m");
  remove("hf:a/b/c.gguf");
  EXPECT_TRUE(fs::is_empty(cache_));
}

TEST_F(CacheFolderTest, RemovesTheModelThatIsMeantAndNoOther) {
  touch("hub/a/b/m-Q8_0.gguf");
  touch("hub/a/b/m-Q4_K_M.gguf");
  touch("hub/a/c/m.gguf");
  remove("hf:a/b:q8_0");
  EXPECT_THAT(names(), ElementsAre("hf:a/b/m-Q4_K_M.gguf", "hf:a/c/m.gguf"));
  remove((cache_ / "hub/a/c/m.gguf").string());
  EXPECT_FALSE(fs::exists(cache_ / "hub/a/c"));
  remove("hf:a/b");
  EXPECT_TRUE(fs::exists(cache_));
  EXPECT_TRUE(fs::is_empty(cache_));
  for (const char* absent : {"hf:a/b", "smollm2:135m", "no-such", "https://example.org/a.gguf"})
    EXPECT_THAT(error_of([&] { remove(absent); }), HasSubstr("is not in the cache")) << absent;
}

TEST_F(CacheFolderTest, NothingOutsideIsRemoved) {
  const fs::path outside = folder_.write("outside.gguf", "kept");
  fs::create_directories(folder_ / "elsewhere");
  std::ofstream(folder_ / "elsewhere/b.gguf") << "kept";
  fs::create_directories(cache_ / "hub/a");
  EXPECT_THAT(error_of([&] { remove(outside.string()); }), HasSubstr("is not in the cache"));
  EXPECT_NE(error_of([&] { remove("hf:../../outside.gguf"); }), "(no error)");
  EXPECT_NE(error_of([&] { remove((cache_ / "../outside.gguf").string()); }), "(no error)");
  // A link in the cache may go, what it leads to stays; a link to a folder is not gone into.
  fs::create_symlink(outside, cache_ / "link.gguf");
  fs::create_directory_symlink(folder_ / "elsewhere", cache_ / "hub/a/linked");
  EXPECT_THAT(error_of([&] { remove("hf:a/linked/b.gguf"); }), HasSubstr("is not in the cache"));
  remove((cache_ / "link.gguf").string());
  EXPECT_FALSE(fs::exists(cache_ / "link.gguf"));
  EXPECT_EQ(test::read_bytes(outside), "kept");
  EXPECT_EQ(test::read_bytes(folder_ / "elsewhere/b.gguf"), "kept");
}

}  // namespace
}  // namespace tessera
