#include "files/huggingface/next_token_layers.h"

#include <gtest/gtest.h>

namespace tessera::huggingface {
namespace {

TEST(NextTokenLayersTest, QwensNamesBecomeNumbered) {
  EXPECT_EQ(numbered_next_token_name("mtp.layers.0.mlp.experts.3.up_proj.weight", 48),
            "model.layers.48.mlp.experts.3.up_proj.weight");
  EXPECT_EQ(numbered_next_token_name("mtp.fc.weight", 48), "model.layers.48.eh_proj.weight");
  EXPECT_EQ(numbered_next_token_name("model.mtp.norm.weight", 2),
            "model.layers.2.shared_head.norm.weight");
  EXPECT_EQ(numbered_next_token_name("mtp.pre_fc_norm_hidden.weight", 2),
            "model.layers.2.hnorm.weight");
  for (const char* other : {"model.layers.0.mlp.up_proj.weight", "mtp.layers.1.mlp.up_proj.weight",
                            "mtp.made_up.weight", "model.mtpx.fc.weight"})
    EXPECT_EQ(numbered_next_token_name(other, 48), other);
}

TEST(NextTokenLayersTest, ThoseBehindTheLastAreCounted) {
  EXPECT_EQ(count_next_token_layers({}, 2), 0);
  EXPECT_EQ(count_next_token_layers({"model.layers.2.enorm.weight", "model.layers.1.eh_proj.weight",
                                     "model.layers.x.eh_proj.weight", "layers.", "layers.3"},
                                    2),
            0);
  EXPECT_EQ(count_next_token_layers(
                {"model.layers.2.eh_proj.weight", "model.language_model.layers.3.eh_proj.qweight",
                 "model.layers.3.eh_proj.scales"},
                2),
            2);
}

}  // namespace
}  // namespace tessera::huggingface
