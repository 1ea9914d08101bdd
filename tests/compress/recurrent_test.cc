// Outputs of recurrences, beside attention's or in their place, are fitted to what they multiply.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "compress/quantize.h"
#include "files/open.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

TEST(Recurrent, EachOutputIsFittedToItsInputs) {
  const test::TempFolder folder;
  for (const char* architecture : {"falcon-h1", "nemotron_h_moe", "qwen35"}) {
    const auto source = write_tiny_model({.architecture = architecture}, folder.path());
    const auto fitted = folder / "gptq.gguf", rounded = folder / "rtn.gguf";
    QuantizeOptions options{.format = "Q4_0", .overwrite = true, .threads = 2, .method = "gptq"};
    options.calibration_length = 64;
    for (int i = 0; i < 60; ++i) options.calibration += "word " + std::to_string(i * i % 97);
    quantize_file(source, options, fitted);
    quantize_file(source, {.format = "Q4_0", .overwrite = true, .threads = 2}, rounded);
    const auto a = open_checkpoint(fitted), b = open_checkpoint(rounded);
    int outputs = 0;
    for (const StoredTensor& tensor : a->tensors()) {
      const TensorRole role = tensor.place.role;
      if (role != TensorRole::kRecurrentOutput && role != TensorRole::kAttentionOutput) continue;
      ++outputs;
      EXPECT_EQ(tensor.format, &kQ4_0) << tensor.name;
      const StoredTensor& other = b->require(tensor.place);
      EXPECT_FALSE(std::ranges::equal(tensor.bytes, other.bytes)) << tensor.name;
    }
    EXPECT_GE(outputs, 4) << architecture;
  }
}

}  // namespace
}  // namespace tessera
