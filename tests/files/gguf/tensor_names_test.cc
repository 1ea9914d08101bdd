// What GGUF files call their tensors, in families that are run and in those that are only
// compressed.
#include "files/gguf/tensor_names.h"

#include <gtest/gtest.h>

#include "checkpoint/role_kinds.h"

namespace tessera {
namespace {

TEST(GgufTensorNames, NamesAndPlacesAgree) {
  for (const TensorPlace place :
       {TensorPlace{TensorRole::kTokenEmbedding}, TensorPlace{TensorRole::kOutput},
        TensorPlace{TensorRole::kValue, 31}, TensorPlace{TensorRole::kExpertsDown, 4}}) {
    EXPECT_EQ(gguf::tensor_place(gguf::tensor_name(place)), place) << gguf::tensor_name(place);
  }
  EXPECT_EQ(gguf::tensor_name({TensorRole::kValue, 31}), "blk.31.attn_v.weight");
  EXPECT_EQ(gguf::tensor_name({TensorRole::kFeedForwardNorm, 3}, "falcon-h1"), "blk.3.ffn_norm");
  EXPECT_EQ(gguf::tensor_name({TensorRole::kValue, 3}, "falcon-h1"), "blk.3.attn_v.weight");
}

TEST(GgufTensorNames, OtherStacksHaveRolesButNoLayer) {
  for (const char* name : {"enc.blk.3.attn_v.weight", "v.blk.3.attn_v.weight"})
    EXPECT_EQ(gguf::tensor_place(name), TensorPlace{TensorRole::kValue}) << name;
}

TEST(GgufTensorNames, SmallAndSteeringTensorsAreDelicate) {
  for (const char* name :
       {"blk.0.ssm_conv1d.weight", "per_layer_model_proj.weight", "blk.2.attn_sub_norm.weight"}) {
    EXPECT_TRUE(is_delicate(gguf::tensor_place(name).role)) << name;
  }
  EXPECT_TRUE(is_delicate(gguf::tensor_place("blk.0.ffn_gate_inp.weight").role));
  EXPECT_EQ(gguf::tensor_place("blk.0.nobody_knows.weight").role, TensorRole::kUnknown);
}

}  // namespace
}  // namespace tessera
