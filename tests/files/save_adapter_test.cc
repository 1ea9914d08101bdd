// An adapter that was opened and written again is the same, in either kind of file.
#include "files/save_adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "files/open.h"
#include "files/open_adapter.h"
#include "paths.h"
#include "support/error_of.h"
#include "support/temp_folder.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

std::vector<float> decoded(const StoredTensor& tensor) {
  std::vector<float> values(tensor.elements());
  tensor.decode(0, tensor.rows(), values);
  return values;
}

class SaveAdapterTest : public testing::TestWithParam<std::string> {
 protected:
  const fs::path data_ = TESSERA_TEST_DATA;
  const std::shared_ptr<const Checkpoint> model_ = open_checkpoint(data_ / "folders" / GetParam());
  const StoredAdapter adapter_ = open_adapter(data_ / "lora" / GetParam(), *model_);
  const test::TempFolder folder_;
};

TEST_P(SaveAdapterTest, OpensAsItWas) {
  for (const char* name : {"peft", "adapter.gguf"}) {
    save_adapter(adapter_, *model_, folder_ / name);
    const StoredAdapter again = open_adapter(folder_ / name, *model_);
    EXPECT_EQ(again.matrices.size(), adapter_.matrices.size());
    for (const StoredLowRank& one : adapter_.matrices) {
      const StoredLowRank* found = again.find(one.down.place);
      ASSERT_NE(found, nullptr) << one.down.name;
      EXPECT_EQ(decoded(found->down), decoded(one.down)) << one.down.name;
      EXPECT_EQ(decoded(found->up), decoded(one.up)) << one.up.name;
      EXPECT_FLOAT_EQ(found->scale, one.scale);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, SaveAdapterTest,
                         testing::Values("llama", "qwen3", "gemma2", "gemma3", "phi3"));

TEST(SaveAdapterErrorTest, NamesWhatAFileHasNoWordsFor) {
  const fs::path data = TESSERA_TEST_DATA;
  const test::TempFolder folder;
  const auto model = open_checkpoint(data / "folders/qwen2");
  const StoredAdapter mixed = open_adapter(data / "lora/qwen2", *model);  // of several ranks
  EXPECT_THAT(error_of([&] { save_adapter(mixed, *model, folder / "peft"); }),
              testing::HasSubstr("has another rank or scale than others"));
  EXPECT_THAT(error_of([&] { save_adapter(mixed, *model, folder / "adapter.gguf"); }),
              testing::HasSubstr("is scaled otherwise than others"));
  EXPECT_EQ(error_of([&] { save_adapter({}, *model, folder / "none.gguf"); }),
            "an adapter without a matrix cannot be written");
}

}  // namespace
}  // namespace tessera
