// Layers that predict further tokens are quantized as the others are.
#include <gtest/gtest.h>

#include <fstream>

#include "compress/quantize.h"
#include "files/open.h"
#include "paths.h"
#include "support/temp_folder.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

TEST(FurtherTokens, LayersOfAFolderAreWritten) {
  const test::TempFolder folder;
  for (const char* name : {"qwen3-next-mtp", "deepseek-v3-mtp"}) {
    const fs::path source = folder / name, out = folder / (std::string(name) + ".gguf");
    fs::copy(fs::path(TESSERA_TEST_DATA) / "folders" / name, source);
    std::ofstream(source / "tokenizer.json")
        << R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
               "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
               "decoder": {"type": "ByteLevel"}})";
    quantize_file(source, {.format = "F32"}, out);
    const auto before = open_checkpoint(source), after = open_checkpoint(out);
    EXPECT_EQ(after->facts().get_int("nextn_predict_layers"), 1);
    const auto last = static_cast<int>(*after->facts().get_int("block_count")) - 1;
    EXPECT_NE(after->find({TensorRole::kNextTokenProjection, last}), nullptr);
    ASSERT_EQ(after->tensors().size(), before->tensors().size());
    for (const StoredTensor& tensor : before->tensors()) {
      const StoredTensor* written = after->find(tensor.place);
      ASSERT_NE(written, nullptr) << tensor.name;
      std::vector<float> expected(tensor.elements()), found(written->elements());
      ASSERT_EQ(found.size(), expected.size()) << tensor.name;
      tensor.decode(0, tensor.rows(), expected);
      written->decode(0, written->rows(), found);
      EXPECT_EQ(found, expected) << tensor.name;
    }
  }
}

}  // namespace
}  // namespace tessera
