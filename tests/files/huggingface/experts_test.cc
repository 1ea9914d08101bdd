// Experts of a folder become one tensor of all of them.
#include "files/huggingface/experts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"

namespace tessera::huggingface {
namespace {

using testing::HasSubstr;

// Whose rows hold number * 100 + row.
StoredTensor expert(int number, const std::string& name, uint64_t columns = 2, uint64_t rows = 3) {
  auto values = std::make_shared<std::vector<float>>();
  for (uint64_t i = 0; i < columns * rows; ++i)
    values->push_back(static_cast<float>(number * 100) + static_cast<float>(i / columns));
  StoredTensor tensor;
  tensor.name = name;
  tensor.format = &kF32;
  tensor.shape = {columns, rows};
  tensor.bytes = std::as_bytes(std::span(*values));
  static std::vector<std::shared_ptr<std::vector<float>>> kept;
  kept.push_back(values);
  return tensor;
}

std::string error_of(std::vector<StoredTensor> tensors) {
  try {
    stack_experts(std::move(tensors));
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(ExpertsTest, RowsOfAllFollowEachOther) {
  const auto stacked = stack_experts({expert(0, "a.weight"), expert(1, "m.experts.1.up.weight"),
                                      expert(0, "m.experts.0.up.weight"), expert(7, "b.weight")});
  ASSERT_EQ(stacked.size(), 3U);
  EXPECT_EQ(stacked[1].name, "m.experts.up.weight");
  EXPECT_EQ(stacked[1].shape, (std::vector<uint64_t>{2, 3, 2}));
  EXPECT_EQ(stacked[2].name, "b.weight");
  std::vector<float> values(6);
  stacked[1].decode(2, 3, values);  // from the first expert into the second
  EXPECT_EQ(values, (std::vector<float>{2, 2, 100, 100, 101, 101}));
  EXPECT_EQ(stacked[1].stored_bytes(), 48U);
}

TEST(ExpertsTest, NamesWithoutANumberStay) {
  const auto stacked =
      stack_experts({expert(0, "m.experts.gate_up_proj"), expert(0, "m.experts.x1.w.weight"),
                     expert(0, "m.experts.1"), expert(0, "m.experts.-1.w")});
  ASSERT_EQ(stacked.size(), 4U);
  EXPECT_EQ(stacked[2].name, "m.experts.1");
}

TEST(ExpertsTest, WhatDoesNotFitIsRefused) {
  EXPECT_THAT(error_of({expert(0, "m.experts.0.w"), expert(2, "m.experts.2.w")}),
              HasSubstr("'m.experts.w' of expert 1 is missing"));
  EXPECT_THAT(error_of({expert(0, "m.experts.0.w"), expert(0, "m.experts.00.w")}),
              HasSubstr("'m.experts.00.w' is there under another name, too"));
  EXPECT_THAT(error_of({expert(1, "m.experts.1.w")}), HasSubstr("of expert 0 is missing"));
  EXPECT_THAT(error_of({expert(0, "m.experts.0.w"), expert(1, "m.experts.1.w", 2, 4)}),
              HasSubstr("'m.experts.1.w' is 2 x 4 in F32; experts must be"));
}

}  // namespace
}  // namespace tessera::huggingface
