// What a model's tensors must be like, beside being there.
#include "model/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "support/error_of.h"
#include "support/model_runner.h"
#include "support/rewritten_gguf.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using testing::HasSubstr;

class LoaderTest : public testing::Test {
 protected:
  // What loading says of a tiny model whose tensors were changed; false: the tensor is left out.
  std::string error_with(const TinyModelSpec& spec,
                         const std::function<bool(StoredTensor& tensor)>& change) {
    const auto path = test::rewrite_gguf(write_tiny_model(spec, folder_.path()),
                                         folder_ / "changed.gguf", {.tensor = change});
    return error_of([&] { ModelRunner{path}; });
  }

  test::TempFolder folder_;
};

TEST_F(LoaderTest, AnOptionalTensorIsInAllLayersOrInNone) {
  const TinyModelSpec biased{.attention_output_bias = true};
  const auto is_bias = [](const StoredTensor& t) { return t.name.ends_with("attn_output.bias"); };
  EXPECT_EQ(error_with(biased, [&](StoredTensor& t) { return !is_bias(t); }), "(no error)");
  EXPECT_EQ(error_with(biased, [](StoredTensor& t) { return t.name != "blk.1.attn_output.bias"; }),
            "tensor 'blk.0.attn_output.bias' is there, but not its like in 1 other layers");
}

TEST_F(LoaderTest, MatricesOfExpertsHaveTheirRows) {
  const auto said = error_with({.architecture = "qwen3moe"}, [](StoredTensor& tensor) {
    if (tensor.name == "blk.0.ffn_up_exps.weight") std::swap(tensor.shape[1], tensor.shape[2]);
    return true;
  });
  EXPECT_EQ(said,
            "tensor 'blk.0.ffn_up_exps.weight' has 6 rows in each of its matrices, expected 80");
}

TEST_F(LoaderTest, ALayerIsNotTakenForOneThatPredictsFurtherTokens) {
  const auto path =
      test::rewrite_gguf(write_tiny_model({.architecture = "glm4moe", .layers = 3}, folder_.path()),
                         folder_ / "next.gguf", {.metadata = [](GgufMetadata& metadata) {
                           metadata.set("glm4moe.nextn_predict_layers", {uint32_t{1}});
                         }});
  EXPECT_THAT(error_of([&] { ModelRunner{path}; }), HasSubstr("'blk.2.nextn.eh_proj.weight'"));
}

TEST_F(LoaderTest, NumbersOfEachRecurrentHeadAreAsManyAsHeads) {
  const TinyModelSpec spec{.architecture = "nemotron_h"};
  EXPECT_THAT(error_with(spec,
                         [](StoredTensor& tensor) {
                           if (tensor.name == "blk.0.ssm_a") tensor.name = "blk.0.ssm_b";
                           return true;
                         }),
              HasSubstr("tensor 'blk.0.ssm_a' is missing"));
  EXPECT_THAT(error_with(spec, [](StoredTensor& tensor) { return tensor.name != "blk.2.ssm_d"; }),
              HasSubstr("tensor 'blk.2.ssm_d' is missing"));
}

}  // namespace
}  // namespace tessera
