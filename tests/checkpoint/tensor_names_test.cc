// The map between what tensors do and what files call them.
#include "checkpoint/tensor_names.h"

#include <gtest/gtest.h>

#include <array>

namespace tessera {
namespace {

constexpr auto kRows = std::to_array<TensorNames::Row>({
    {TensorRole::kOutput, "lm_head.weight"},
    {TensorRole::kQuery, "model.layers.*.q_proj.weight"},
});
constexpr TensorNames kNames(kRows);

TEST(TensorNames, BothWaysAgree) {
  for (const TensorPlace place :
       {TensorPlace{TensorRole::kOutput}, TensorPlace{TensorRole::kQuery, 0},
        TensorPlace{TensorRole::kQuery, 127}}) {
    EXPECT_EQ(kNames.place_of(kNames.name_of(place)), place);
  }
  EXPECT_EQ(kNames.name_of({TensorRole::kQuery, 12}), "model.layers.12.q_proj.weight");
}

TEST(TensorNames, WhatIsInNoRowIsUnknown) {
  EXPECT_EQ(kNames.name_of({TensorRole::kKey, 1}), "");
  for (const char* name :
       {"", "lm_head", "lm_head.weight2", "model.layers..q_proj.weight",
        "model.layers.x.q_proj.weight", "model.layers.-1.q_proj.weight",
        "model.layers.1x.q_proj.weight", "model.layers.99999999999.q_proj.weight",
        "model.layers.1.q_proj.weight.q_proj.weight", "model.layers.q_proj.weight"}) {
    EXPECT_EQ(kNames.place_of(name), TensorPlace{}) << name;
  }
}

TEST(MatchStars, GivesTheNumbers) {
  using Numbers = std::vector<int>;
  EXPECT_EQ(match_stars("*.*.weight", "3.12.weight"), (Numbers{3, 12}));
  EXPECT_EQ(match_stars("blocks.*.layers.*", "blocks.0.layers.7"), (Numbers{0, 7}));
  EXPECT_EQ(match_stars("token_map", "token_map"), Numbers());
  for (const char* name : {"", "3.weight", "3.12.weights", "3..weight", "3.-1.weight", "a.1.weight",
                           "3.99999999999.weight", "3.12.13.weight"}) {
    EXPECT_FALSE(match_stars("*.*.weight", name)) << name;
  }
}

}  // namespace
}  // namespace tessera
