#include "files/model_reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

#include "base/error.h"
#include "files/known_models.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// A cache folder of its own for each test.
class ModelReferenceTest : public testing::Test {
 protected:
  ModelReferenceTest() {
    std::string name = (fs::temp_directory_path() / "tessera-cache-XXXXXX").string();
    cache_ = ::mkdtemp(name.data());
    ::setenv("TESSERA_CACHE", cache_.c_str(), 1);
  }
  ~ModelReferenceTest() override {
    ::unsetenv("TESSERA_CACHE");
    fs::remove_all(cache_);
  }
  void touch(const fs::path& relative) {
    fs::create_directories((cache_ / relative).parent_path());
    std::ofstream(cache_ / relative) << "x";
  }
  std::string error_of(std::string_view reference) {
    try {
      return "(no error) " + resolve_model(reference).string();
    } catch (const Error& error) {
      return error.what();
    }
  }
  fs::path cache_;
};

TEST_F(ModelReferenceTest, AnExistingPathIsItself) {
  touch("a.gguf");
  EXPECT_EQ(resolve_model((cache_ / "a.gguf").string()), cache_ / "a.gguf");
}

TEST_F(ModelReferenceTest, AKnownNameIsAFileOfTheCacheOrTheCommandThatFetchesIt) {
  EXPECT_THAT(error_of("smollm2:135m"), HasSubstr("tessera pull smollm2:135m"));
  touch("SmolLM2-135M-Instruct.Q4_1.gguf");
  EXPECT_EQ(resolve_model("smollm2:135m"), cache_ / "SmolLM2-135M-Instruct.Q4_1.gguf");
}

TEST_F(ModelReferenceTest, AHubReferenceIsWhatWasPulled) {
  EXPECT_THAT(error_of("hf:acme/tiny"), HasSubstr("tessera pull hf:acme/tiny"));
  EXPECT_THAT(error_of("hf:acme/tiny/a.gguf"), HasSubstr("tessera pull hf:acme/tiny/a.gguf"));
  touch("hub/acme/tiny/a.gguf.part");
  EXPECT_THAT(error_of("hf:acme/tiny"), HasSubstr("tessera pull"));
  touch("hub/acme/tiny/a.gguf");
  EXPECT_EQ(resolve_model("hf:acme/tiny"), cache_ / "hub/acme/tiny/a.gguf");
  EXPECT_EQ(resolve_model("hf:acme/tiny/a.gguf"), cache_ / "hub/acme/tiny/a.gguf");
}

TEST_F(ModelReferenceTest, AQuantizationNamesWhatWasPulledOfIt) {
  touch("hub/acme/tiny/tiny.Q4_K_M.gguf");
  EXPECT_EQ(resolve_model("hf:acme/tiny:q4_k_m"), cache_ / "hub/acme/tiny/tiny.Q4_K_M.gguf");
  EXPECT_THAT(error_of("hf:acme/tiny:Q8_0"), HasSubstr("tessera pull hf:acme/tiny:Q8_0"));
  EXPECT_THAT(error_of("hf:acme/tiny:Q4_K"), HasSubstr("tessera pull"));
  touch("hub/acme/tiny/Q8_0/tiny-00001-of-00002.gguf");
  touch("hub/acme/tiny/Q8_0/tiny-00002-of-00002.gguf");
  EXPECT_EQ(resolve_model("hf:acme/tiny:Q8_0"),
            cache_ / "hub/acme/tiny/Q8_0/tiny-00001-of-00002.gguf");
  for (const char* bad : {"hf:acme/tiny:", "hf:acme/tiny:a/b", "hf:acme/tiny:..", "hf:acme/:Q8_0",
                          "hf:acme:Q8_0/tiny"}) {
    EXPECT_THAT(error_of(bad), HasSubstr("expected hf:OWNER/REPO")) << bad;
  }
}

TEST(FindGgufsTest, AQuantizationIsAWordOfThePath) {
  const std::vector<std::string> names = {"m-Q4_K_M.gguf",
                                          "m-Q4_K_S.gguf",
                                          "m_q4_k.gguf",
                                          "m.IQ4_XS.gguf",
                                          "m-UD-Q4_K_XL.gguf",
                                          "Q6_K/m.gguf",
                                          "m-F16.gguf",
                                          "mmproj-F16.gguf",
                                          "m-BF16-00001-of-00002.gguf",
                                          "m-BF16-00002-of-00002.gguf",
                                          "README-Q8_0.md"};
  const auto found = [&](std::string_view quantization) { return find_ggufs(names, quantization); };
  using testing::ElementsAre;
  EXPECT_THAT(found("Q4_K_M"), ElementsAre("m-Q4_K_M.gguf"));
  EXPECT_THAT(found("q4_k_s"), ElementsAre("m-Q4_K_S.gguf"));
  EXPECT_THAT(found("Q4_K"), ElementsAre("m_q4_k.gguf"));
  EXPECT_THAT(found("IQ4_XS"), ElementsAre("m.IQ4_XS.gguf"));
  EXPECT_THAT(found("Q4_XS"), ElementsAre());
  EXPECT_THAT(found("Q4_K_XL"), ElementsAre("m-UD-Q4_K_XL.gguf"));
  EXPECT_THAT(found("UD-Q4_K_XL"), ElementsAre("m-UD-Q4_K_XL.gguf"));
  EXPECT_THAT(found("Q6_K"), ElementsAre("Q6_K/m.gguf"));
  EXPECT_THAT(found("f16"), ElementsAre("m-F16.gguf"));
  EXPECT_THAT(found("BF16"), ElementsAre("m-BF16-00001-of-00002.gguf"));
  EXPECT_THAT(found("Q8_0"), ElementsAre());
}

TEST_F(ModelReferenceTest, AUrlIsWhatWasPulled) {
  EXPECT_THAT(error_of("https://example.org/m/a.gguf"), HasSubstr("tessera pull"));
  touch("url/example.org/m/a.gguf");
  EXPECT_EQ(resolve_model("https://example.org/m/a.gguf?download=true"),
            cache_ / "url/example.org/m/a.gguf");
}

TEST_F(ModelReferenceTest, AnythingElseIsAnError) {
  EXPECT_THAT(error_of("absent.gguf"), HasSubstr("no file 'absent.gguf'"));
  EXPECT_THAT(error_of(""), HasSubstr("empty"));
  EXPECT_THAT(error_of("hf:acme"), HasSubstr("expected hf:OWNER/REPO"));
  EXPECT_THAT(error_of("https://example.org/"), HasSubstr("URL of a file"));
}

TEST(SplitMembersTest, AllPartsInOrder) {
  EXPECT_THAT(split_members("d/m-00002-of-00003.gguf"),
              testing::ElementsAre("d/m-00001-of-00003.gguf", "d/m-00002-of-00003.gguf",
                                   "d/m-00003-of-00003.gguf"));
  EXPECT_THAT(split_members("m.gguf"), testing::ElementsAre("m.gguf"));
  EXPECT_THAT(split_members("m-0001-of-0003.gguf"), testing::ElementsAre("m-0001-of-0003.gguf"));
  EXPECT_THAT(split_members("m-00004-of-00003.gguf"),
              testing::ElementsAre("m-00004-of-00003.gguf"));
}

TEST(KnownModelsTest, EveryRowOfTheTableGivesOne) {
  EXPECT_TRUE(kModelTable.starts_with("name\tfile\t")) << kModelTable;
  EXPECT_EQ(std::ssize(known_models()) + 1, std::ranges::count(kModelTable, '\n'));
  std::set<std::string_view> names;
  for (const KnownModel& model : known_models()) {
    EXPECT_TRUE(names.insert(model.name).second) << model.name;
    EXPECT_TRUE(model.file.ends_with(".gguf")) << model.name;
    EXPECT_THAT(kModelTable,
                HasSubstr(fmt::format("\n{}\t{}\t{}\t{}\t{}\t{}\n", model.name, model.file,
                                      model.size, model.sha256, model.packages, model.member)));
    EXPECT_GT(model.size, 0u) << model.name;
    EXPECT_EQ(model.sha256.size(), 64u) << model.name;
  }
  EXPECT_TRUE(names.contains("smollm2:135m"));
}

}  // namespace
}  // namespace tessera
