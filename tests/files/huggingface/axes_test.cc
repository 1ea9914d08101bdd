// Tensors of a folder along other axes than GGUF has them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>

#include "base/error.h"
#include "files/huggingface/fused_experts.h"
#include "files/huggingface/latent_attention.h"

namespace tessera::huggingface {
namespace {

using testing::HasSubstr;

// A float tensor of 0, 1, 2, ..., its axes from the last on.
class Counted {
 public:
  explicit Counted(std::string name, std::vector<uint64_t> shape) {
    tensor.name = std::move(name);
    tensor.format = &kF32;
    tensor.shape = std::move(shape);
    for (uint64_t i = 0; i < tensor.elements(); ++i) values_.push_back(static_cast<float>(i));
    tensor.bytes = std::as_bytes(std::span(values_));
  }
  StoredTensor tensor;

 private:
  std::vector<float> values_;
};

std::vector<float> row(const StoredTensor& tensor, uint64_t number) {
  std::vector<float> values(tensor.columns());
  tensor.decode(number, 1, values);
  return values;
}

template <typename Split>
std::string error_of(Split split) {
  try {
    split();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(FusedExpertsTest, GateAndUpAlternateAlongTheLastAxis) {
  const Counted both("m.experts.gate_up_proj", {4, 3, 2});  // [2 experts, 3 inputs, 2 gate and up]
  const auto split = split_fused_experts({both.tensor});
  ASSERT_EQ(split.size(), 2U);
  EXPECT_EQ(split[0].name, "m.experts.gate_proj.weight");
  EXPECT_EQ(split[1].name, "m.experts.up_proj.weight");
  EXPECT_EQ(split[1].shape, (std::vector<uint64_t>{3, 2, 2}));
  EXPECT_EQ(row(split[0], 0), (std::vector<float>{0, 4, 8}));
  EXPECT_EQ(row(split[0], 1), (std::vector<float>{2, 6, 10}));
  EXPECT_EQ(row(split[1], 2), (std::vector<float>{13, 17, 21}));  // the second expert's first
}

TEST(FusedExpertsTest, DownAndBiases) {
  const Counted down("m.experts.down_proj", {3, 2, 2});  // [2 experts, 2 inputs, 3 outputs]
  const Counted gate_up("m.experts.gate_up_proj_bias", {4, 2});
  const Counted bias("m.experts.down_proj_bias", {3, 2});
  const auto split = split_fused_experts({down.tensor, gate_up.tensor, bias.tensor});
  ASSERT_EQ(split.size(), 4U);
  EXPECT_EQ(split[0].shape, (std::vector<uint64_t>{2, 3, 2}));
  EXPECT_EQ(row(split[0], 4), (std::vector<float>{7, 10}));
  EXPECT_EQ(split[1].name, "m.experts.gate_proj.bias");
  EXPECT_EQ(row(split[1], 1), (std::vector<float>{4, 6}));
  EXPECT_EQ(row(split[2], 1), (std::vector<float>{5, 7}));
  EXPECT_EQ(split[3].name, "m.experts.down_proj.bias");
}

TEST(FusedExpertsTest, RowsOfALayoutAlternate) {
  const Counted both("m.experts.gate_up_proj.weight", {2, 4, 1});
  const auto split = split_fused_experts({both.tensor});
  EXPECT_EQ(row(split[0], 1), (std::vector<float>{4, 5}));
  EXPECT_EQ(row(split[1], 1), (std::vector<float>{6, 7}));
}

TEST(FusedExpertsTest, OddWidthsAndOtherAxesAreRefused) {
  const Counted odd("m.experts.gate_up_proj", {3, 2, 2}), flat("m.experts.gate_up_proj", {4, 2});
  EXPECT_THAT(error_of([&] { split_fused_experts({odd.tensor}); }),
              HasSubstr("is 3 x 4, expected 3 axes"));
  EXPECT_THAT(error_of([&] { split_fused_experts({flat.tensor}); }), HasSubstr("expected 3 axes"));
}

TEST(LatentTest, KeysAreTurnedAndValuesAreNot) {
  const Counted joined("a.kv_b_proj.weight", {2, 6});  // two heads of two keys and a value
  const auto split = split_latents({joined.tensor}, 2, 2);
  ASSERT_EQ(split.size(), 2U);
  EXPECT_EQ(split[0].name, "a.k_b_proj.weight");
  EXPECT_EQ(split[0].shape, (std::vector<uint64_t>{2, 2, 2}));
  EXPECT_EQ(row(split[0], 0), (std::vector<float>{0, 2}));
  EXPECT_EQ(row(split[0], 3), (std::vector<float>{7, 9}));
  EXPECT_EQ(split[1].shape, (std::vector<uint64_t>{2, 1, 2}));
  EXPECT_EQ(row(split[1], 1), (std::vector<float>{10, 11}));
}

TEST(LatentTest, HeadsThatDoNotDivideItAreRefused) {
  const Counted joined("a.kv_b_proj.weight", {2, 6});
  EXPECT_THAT(error_of([&] { split_latents({joined.tensor}, 4, 1); }), HasSubstr("is 2 x 6"));
  EXPECT_THAT(error_of([&] { split_latents({joined.tensor}, 2, 3); }), HasSubstr("keys of 3"));
  EXPECT_THAT(error_of([&] { split_latents({joined.tensor}, 0, 3); }), HasSubstr("0 heads"));
}

}  // namespace
}  // namespace tessera::huggingface
