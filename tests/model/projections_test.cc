// Queries, keys and values are one matrix or three, as the file has them, whatever the family; and
// heads may have norms of their own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "files/gguf/reader.h"
#include "files/gguf/writer.h"
#include "support/error_of.h"
#include "support/model_runner.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

struct Kept {
  std::string name;
  const Format* format;
  std::vector<uint64_t> shape;
  std::vector<std::byte> bytes;
};

class ProjectionsTest : public testing::Test {
 protected:
  void write(const GgufFile& file, const std::vector<Kept>& tensors,
             const std::filesystem::path& path) {
    GgufWriter writer(file.metadata());
    for (const Kept& tensor : tensors) writer.declare(tensor.name, *tensor.format, tensor.shape);
    writer.write(path, [&](size_t i) { return tensors[i].bytes; });
  }
  static Kept kept(const StoredTensor& tensor) {
    return {tensor.name, tensor.format, tensor.shape, {tensor.bytes.begin(), tensor.bytes.end()}};
  }
  std::vector<std::vector<float>> logits(const std::filesystem::path& path) {
    return ModelRunner(path).run_text(random_tokens(40, 320, 3));
  }

  test::TempFolder folder_;
};

TEST_F(ProjectionsTest, OneMatrixIsAsGoodAsThree) {
  for (const char* architecture : {"llama", "qwen2", "gemma3", "cohere2"}) {
    const auto apart = write_tiny_model({.architecture = architecture}, folder_.path());
    const GgufFile file = GgufFile::open(apart);
    std::vector<Kept> tensors;
    for (const StoredTensor& tensor : file.tensors()) {
      const std::string stem = tensor.name.substr(0, tensor.name.find("attn_") + 5);
      const std::string part = tensor.name.substr(std::min(stem.size(), tensor.name.size()));
      if (part == "k.weight" || part == "v.weight" || part == "k.bias" || part == "v.bias")
        continue;
      tensors.push_back(kept(tensor));
      if (part != "q.weight" && part != "q.bias") continue;
      Kept& joined = tensors.back();
      const std::string kind = part.substr(1);
      joined.name = stem + "qkv" + kind;
      for (const char* other : {"k", "v"}) {
        const StoredTensor& more = file.require_tensor(stem + other + kind);
        joined.shape.back() += more.shape.back();
        joined.bytes.insert(joined.bytes.end(), more.bytes.begin(), more.bytes.end());
      }
    }
    write(file, tensors, folder_ / "joined.gguf");
    EXPECT_EQ(logits(folder_ / "joined.gguf"), logits(apart)) << architecture;
  }
}

TEST_F(ProjectionsTest, ThreeMatricesAreAsGoodAsOne) {
  const auto whole = write_tiny_model({.architecture = "phi3"}, folder_.path());
  const GgufFile file = GgufFile::open(whole);
  std::vector<Kept> tensors;
  for (const StoredTensor& tensor : file.tensors()) {
    const size_t at = tensor.name.find("attn_qkv.weight");
    if (at == std::string::npos) {
      tensors.push_back(kept(tensor));
      continue;
    }
    size_t begin = 0;
    const uint64_t rows[] = {64, 32, 32};  // of 4 and 2 heads
    for (int i = 0; i < 3; ++i) {
      const size_t bytes = rows[i] * tensor.format->row_bytes(tensor.columns());
      tensors.push_back({tensor.name.substr(0, at) + "attn_" + "qkv"[i] + ".weight",
                         tensor.format,
                         {tensor.columns(), rows[i]},
                         {tensor.bytes.begin() + static_cast<std::ptrdiff_t>(begin),
                          tensor.bytes.begin() + static_cast<std::ptrdiff_t>(begin + bytes)}});
      begin += bytes;
    }
    ASSERT_EQ(begin, tensor.bytes.size());
  }
  write(file, tensors, folder_ / "apart.gguf");
  EXPECT_EQ(logits(folder_ / "apart.gguf"), logits(whole));
}

TEST_F(ProjectionsTest, NormsOfHeadsAreOfAllHeads) {
  const GgufFile file =
      GgufFile::open(write_tiny_model({.architecture = "stablelm"}, folder_.path()));
  const auto with = [&](uint64_t query_heads, int layers) {
    std::vector<Kept> tensors;
    for (const StoredTensor& tensor : file.tensors()) tensors.push_back(kept(tensor));
    for (int layer = 0; layer < layers; ++layer) {
      for (const auto& [name, heads] : {std::pair("q", query_heads), std::pair("k", uint64_t{2})}) {
        tensors.push_back({"blk." + std::to_string(layer) + ".attn_" + name + "_norm.weight",
                           &kF32,
                           {16, heads},
                           std::vector<std::byte>(16 * heads * sizeof(float))});
      }
    }
    write(file, tensors, folder_ / "normed.gguf");
    return error_of([&] { ModelRunner{folder_ / "normed.gguf"}; });
  };
  EXPECT_EQ(with(4, 2), "(no error)");
  EXPECT_EQ(with(3, 2), "tensor 'blk.0.attn_q_norm.weight' is 16 x 3, expected 64 x 1");
  EXPECT_EQ(with(4, 1),
            "tensor 'blk.0.attn_q_norm.weight' is there, but not its like in 1 other layers");
}

}  // namespace
}  // namespace tessera
