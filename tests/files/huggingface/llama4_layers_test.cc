// What Llama 4's config.json says in its own way, and what it may not say.
#include "files/huggingface/llama4_layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "files/gguf/metadata.h"
#include "support/error_of.h"

namespace tessera {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json scout() {
  return {{"num_hidden_layers", 5},
          {"intermediate_size", 12},
          {"intermediate_size_mlp", 24},
          {"interleave_moe_layer_step", 2},
          {"attention_chunk_size", 8},
          {"use_qk_norm", true},
          {"attn_scale", 0.3},
          {"floor_scale", 16.0},
          {"moe_layers", {1, 3}},
          {"layer_types",
           {"chunked_attention", "chunked_attention", "chunked_attention", "full_attention",
            "chunked_attention"}}};
}

GgufMetadata facts_of(json config, const json& changes = json::object()) {
  config.update(changes);
  const json parsed = json::parse(config.dump());
  GgufMetadata metadata;
  for (auto& [fact, key, value] :
       huggingface::read_llama4_layers(huggingface::ConfigReader(parsed)))
    metadata.set(fact, value);
  return metadata;
}

TEST(Llama4LayersTest, FactsAreGgufs) {
  const GgufMetadata facts = facts_of(scout());
  EXPECT_EQ(facts.get_int("feed_forward_length"), 24);
  EXPECT_EQ(facts.get_int("expert_feed_forward_length"), 12);
  EXPECT_EQ(facts.get_int("interleave_moe_layer_step"), 2);
  EXPECT_EQ(facts.get_int("attention.chunk_size"), 8);
  EXPECT_EQ(facts.get_int("attention.temperature_length"), 16);
  EXPECT_EQ(facts.get_bool("attention.unit_qk_norm"), true);
  EXPECT_FLOAT_EQ(static_cast<float>(*facts.get_float("attention.temperature_scale")), 0.3f);
  // The first folders had a number for it.
  for (const json& off : {json(false), json(0)}) {
    EXPECT_EQ(facts_of(scout(), {{"attn_temperature_tuning", off}})
                  .get_float("attention.temperature_scale"),
              0.0);
  }
  EXPECT_GT(
      facts_of(scout(), {{"attn_temperature_tuning", 4}}).get_float("attention.temperature_scale"),
      0.0);
}

TEST(Llama4LayersTest, RefusesLayersOfAnotherOrder) {
  const auto error = [](const json& changes) {
    return error_of([&] { facts_of(scout(), changes); });
  };
  EXPECT_EQ(error({{"moe_layers", {0, 3}}}),
            "key 'moe_layers': other than every 2. layer is not supported");
  EXPECT_EQ(error({{"interleave_moe_layer_step", 0}}),
            "key 'interleave_moe_layer_step': 0 is out of range");
  EXPECT_THAT(error({{"layer_types", {"full_attention"}}}),
              HasSubstr("key 'layer_types': \"full_attention\" of layer 0 is not supported"));
  EXPECT_EQ(error({{"floor_scale", 0}}), "key 'floor_scale': 0 is out of range");
}

TEST(Llama4LayersTest, ExpertsAreTakenApartAndTurned) {
  const auto counted = [](std::string name, std::vector<uint64_t> shape,
                          std::vector<float>& values) {
    StoredTensor tensor;
    tensor.name = std::move(name);
    tensor.format = &kF32;
    tensor.shape = std::move(shape);
    for (uint64_t i = 0; i < tensor.elements(); ++i) values.push_back(static_cast<float>(i));
    tensor.bytes = std::as_bytes(std::span(values));
    return tensor;
  };
  std::vector<float> both_values, down_values;
  // [2 experts, 3 inputs, 2 gates and then 2 ups], [2 experts, 2 inputs, 3 outputs]
  const auto split =
      huggingface::split_llama4_experts({counted("m.experts.gate_up_proj", {4, 3, 2}, both_values),
                                         counted("m.experts.down_proj", {3, 2, 2}, down_values)});
  ASSERT_EQ(split.size(), 3u);
  const auto row = [](const StoredTensor& tensor, uint64_t number) {
    std::vector<float> values(tensor.columns());
    tensor.decode(number, 1, values);
    return values;
  };
  EXPECT_EQ(split[0].name, "m.experts.gate_proj.weight");
  EXPECT_EQ(split[1].name, "m.experts.up_proj.weight");
  EXPECT_EQ(split[2].name, "m.experts.down_proj.weight");
  EXPECT_EQ(split[0].shape, (std::vector<uint64_t>{3, 2, 2}));
  EXPECT_EQ(row(split[0], 1), (std::vector<float>{1, 5, 9}));
  EXPECT_EQ(row(split[1], 0), (std::vector<float>{2, 6, 10}));
  EXPECT_EQ(row(split[1], 2), (std::vector<float>{14, 18, 22}));  // the second expert's first
  EXPECT_EQ(split[2].shape, (std::vector<uint64_t>{2, 3, 2}));
  EXPECT_EQ(row(split[2], 4), (std::vector<float>{7, 10}));
  std::vector<float> odd;
  EXPECT_THAT(
      error_of([&] {
        huggingface::split_llama4_experts({counted("m.experts.gate_up_proj", {3, 3, 2}, odd)});
      }),
      HasSubstr("tensor 'm.experts.gate_up_proj' is 3 x 6 with 3 axes, expected 3"));
}

}  // namespace
}  // namespace tessera
