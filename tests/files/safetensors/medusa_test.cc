// Medusa heads in both published layouts, and as the GGUF that they become.
#include "files/safetensors/medusa.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "files/open.h"
#include "paths.h"
#include "support/error_of.h"
#include "support/safetensors.h"
#include "support/temp_folder.h"

namespace tessera {
namespace {

using test::float_tensor;
using test::NamedTensor;
using testing::HasSubstr;

// Two heads of two layers, 2 x 2 each; 3 tokens. Values tell where they belong.
std::vector<NamedTensor> faster_decoding(const std::string& prefix) {
  std::vector<NamedTensor> tensors;
  for (int head = 0; head < 2; ++head) {
    const std::string h = prefix + std::to_string(head) + ".";
    const auto value = static_cast<float>(100 * head);
    for (int layer = 0; layer < 2; ++layer) {
      const auto v = value + static_cast<float>(10 * layer);
      tensors.push_back(float_tensor(h + std::to_string(layer) + ".linear.weight", {2, 2},
                                     {v, v + 1, v + 2, v + 3}));
      tensors.push_back(
          float_tensor(h + std::to_string(layer) + ".linear.bias", {2}, {v + 4, v + 5}));
    }
    tensors.push_back(float_tensor(h + "2.weight", {3, 2}, {value + 20, 21, 22, 23, 24, 25}));
  }
  return tensors;
}

std::vector<NamedTensor> vllm() {
  std::vector<NamedTensor> tensors = faster_decoding("");
  for (NamedTensor& tensor : tensors) {
    const std::string head = tensor.name.substr(0, 1), layer = tensor.name.substr(2, 1);
    const bool is_bias = tensor.name.ends_with("bias");
    tensor.name = layer == "2"
                      ? "lm_heads." + head + ".weight"
                      : "blocks." + head + ".layers." + layer + (is_bias ? ".bias" : ".weight");
  }
  tensors.push_back({"token_map", "I64", {3}, test::bytes_of(std::vector<int64_t>{5, 7, 9})});
  return tensors;
}

float first_value(const Checkpoint& checkpoint, TensorPlace place) {
  const StoredTensor& tensor = checkpoint.require(place);
  std::vector<float> row(tensor.columns());
  tensor.format->decode(tensor.bytes.data(), row);
  return row[0];
}

class MedusaFileTest : public testing::Test {
 protected:
  std::filesystem::path write(const std::vector<NamedTensor>& tensors) {
    return folder_.write("heads.safetensors", test::safetensors_of(tensors));
  }
  static void check(const Checkpoint& checkpoint) {
    EXPECT_EQ(checkpoint.facts().require_string("general.architecture"), "medusa");
    EXPECT_EQ(checkpoint.facts().require_int("heads"), 2);
    EXPECT_EQ(checkpoint.facts().require_int("layers"), 2);
    for (int head = 0; head < 2; ++head) {
      for (int layer = 0; layer < 2; ++layer) {
        const int number = head * 2 + layer;
        const auto value = static_cast<float>(100 * head + 10 * layer);
        EXPECT_EQ(first_value(checkpoint, {TensorRole::kMedusaBlock, number}), value);
        EXPECT_EQ(first_value(checkpoint, {TensorRole::kMedusaBlockBias, number}), value + 4);
      }
      EXPECT_EQ(first_value(checkpoint, {TensorRole::kMedusaOutput, head}),
                static_cast<float>(100 * head + 20));
    }
  }
  test::TempFolder folder_;
};

TEST_F(MedusaFileTest, EachLayoutIsUnderstood) {
  check(*open_checkpoint(write(faster_decoding(""))));
  check(*open_checkpoint(write(faster_decoding("medusa_head."))));
  const auto checkpoint = open_checkpoint(write(vllm()));
  check(*checkpoint);
  EXPECT_NE(checkpoint->find({TensorRole::kTokenMap}), nullptr);
}

// tests/files/safetensors/make-golden.
TEST_F(MedusaFileTest, WhatTheOfficialPackageWritesIsRead) {
  const auto checkpoint = open_checkpoint(TESSERA_TEST_DATA "/safetensors/heads.safetensors");
  check(*checkpoint);
  const StoredTensor& map = checkpoint->require({TensorRole::kTokenMap});
  EXPECT_EQ(map.format->name, "I64");
  EXPECT_EQ(map.elements(), 3u);
}

TEST_F(MedusaFileTest, WhatIsNoHeadsIsNamed) {
  const auto error = [&](const std::vector<NamedTensor>& tensors) {
    const auto path = write(tensors);
    return error_of([&] { open_checkpoint(path); });
  };
  EXPECT_THAT(error({float_tensor("model.embed_tokens.weight", {1, 1}, {0})}),
              HasSubstr("'model.embed_tokens.weight' is none of Medusa heads"));
  EXPECT_THAT(error({float_tensor("lm_head.weight", {1, 1}, {0})}), HasSubstr("no Medusa heads"));
  auto tensors = faster_decoding("");
  tensors.erase(tensors.begin());  // a block
  EXPECT_THAT(error(tensors), HasSubstr("has 3 blocks, expected 2 in each of 2 heads"));
  tensors = faster_decoding("");
  tensors.push_back(float_tensor("00.0.linear.weight", {2, 2}, {0, 0, 0, 0}));
  EXPECT_THAT(error(tensors), HasSubstr("is there under another name, too"));
  tensors = faster_decoding("");
  tensors.push_back(float_tensor("0.7.weight", {1, 1}, {0}));
  EXPECT_THAT(error(tensors), HasSubstr("'0.7.weight' is none of heads of 2 layers"));
  EXPECT_THAT(error({float_tensor("99999999999.0.linear.weight", {1, 1}, {0})}),
              HasSubstr("is none of Medusa heads"));
  const auto path = write(faster_decoding(""));
  EXPECT_THAT(error_of([&] { open_checkpoint(path)->read_tokenizer(); }), HasSubstr("not a model"));
}

TEST_F(MedusaFileTest, APickleIsNeverOpened) {
  const auto path = folder_.write("medusa_lm_head.pt", "PK\3\4");
  EXPECT_THAT(error_of([&] { open_checkpoint(path); }), HasSubstr("PyTorch pickle"));
}

}  // namespace
}  // namespace tessera
