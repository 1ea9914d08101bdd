// What Gemma 4's config.json says by the layers' kind, and what it may not say.
#include "files/huggingface/gemma4_layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "files/gguf/metadata.h"
#include "support/error_of.h"

namespace tessera {
namespace {

using nlohmann::json;
using testing::ElementsAre;

json e2b() {
  return {{"num_hidden_layers", 4},
          {"hidden_size", 16},
          {"intermediate_size", 24},
          {"num_attention_heads", 2},
          {"num_key_value_heads", 1},
          {"head_dim", 8},
          {"global_head_dim", 16},
          {"sliding_window", 8},
          {"num_kv_shared_layers", 2},
          {"hidden_size_per_layer_input", 4},
          {"use_double_wide_mlp", true},
          {"layer_types",
           {"sliding_attention", "full_attention", "sliding_attention", "full_attention"}}};
}

json with(json config, const json& members) {
  config.update(members);
  return config;
}

// The numbers of `config` are read as a file's are: those built here are signed.
huggingface::Gemma4Layers read(const json& config) {
  const json parsed = json::parse(config.dump());
  return huggingface::read_gemma4_layers(huggingface::ConfigReader(parsed));
}

GgufMetadata facts_of(const json& config) {
  GgufMetadata metadata;
  for (auto& [fact, key, value] : read(config).facts) metadata.set(fact, value);
  return metadata;
}

std::vector<float> factors_of(const json& config) {
  return read(config).rope_factors;
}

TEST(Gemma4LayersTest, FactsAreGgufs) {
  const GgufMetadata facts = facts_of(e2b());
  EXPECT_THAT(*facts.get_bools("attention.sliding_window_pattern"),
              ElementsAre(true, false, true, false));
  EXPECT_EQ(facts.get_int("attention.key_length"), 16);
  EXPECT_EQ(facts.get_int("attention.value_length"), 16);
  EXPECT_EQ(facts.get_int("attention.key_length_swa"), 8);
  EXPECT_EQ(facts.get_int("attention.value_length_swa"), 8);
  EXPECT_EQ(facts.get_int("attention.head_count_kv"), 1);
  EXPECT_EQ(facts.get_int("attention.shared_kv_layers"), 2);
  EXPECT_EQ(facts.get_int("embedding_length_per_layer_input"), 4);
  EXPECT_THAT(*facts.get_ints("feed_forward_length"), ElementsAre(24, 24, 48, 48));
  EXPECT_EQ(facts.get_int("rope.dimension_count"), 16);
  EXPECT_EQ(facts.get_int("rope.dimension_count_swa"), 8);
  EXPECT_EQ(facts.get_float("rope.freq_base"), 1e6);
  EXPECT_EQ(facts.get_float("rope.freq_base_swa"), 1e4);
  EXPECT_FALSE(facts.contains("expert_count"));
  // A quarter of the frequencies turn, if config.json does not say how many.
  EXPECT_THAT(factors_of(e2b()), ElementsAre(1, 1, 1e30f, 1e30f, 1e30f, 1e30f, 1e30f, 1e30f));
}

TEST(Gemma4LayersTest, KeyValueHeadsMayDifferByKind) {
  const json k_eq_v = {
      {"attention_k_eq_v", true}, {"num_key_value_heads", 2}, {"num_global_key_value_heads", 1}};
  EXPECT_THAT(*facts_of(with(e2b(), k_eq_v)).get_ints("attention.head_count_kv"),
              ElementsAre(2, 1, 2, 1));
  // Without keys in the place of values, transformers does not read the second number.
  EXPECT_EQ(
      facts_of(with(e2b(), {{"num_global_key_value_heads", 2}})).get_int("attention.head_count_kv"),
      1);
  // Newer folders list the layers.
  json listed = with(e2b(), {{"per_layer_config",
                              {{"1", {{"head_dim", 32}, {"num_key_value_heads", 2}}},
                               {"3", {{"head_dim", 32}, {"num_key_value_heads", 2}}}}}});
  listed.erase("global_head_dim");
  EXPECT_THAT(*facts_of(listed).get_ints("attention.head_count_kv"), ElementsAre(1, 2, 1, 2));
  EXPECT_EQ(facts_of(listed).get_int("attention.key_length"), 32);
}

TEST(Gemma4LayersTest, ExpertsAreThereIfTheyAreEnabled) {
  const json members = {{"num_experts", 6}, {"top_k_experts", 2}, {"moe_intermediate_size", 12}};
  EXPECT_FALSE(facts_of(with(e2b(), members)).contains("expert_count"));
  json enabled = with(e2b(), members);
  enabled["enable_moe_block"] = true;
  const GgufMetadata facts = facts_of(enabled);
  EXPECT_EQ(facts.get_int("expert_count"), 6);
  EXPECT_EQ(facts.get_int("expert_used_count"), 2);
  EXPECT_EQ(facts.get_int("expert_feed_forward_length"), 12);
}

// As transformers: every sixth layer has no window if nothing else is said, and the last never has.
TEST(Gemma4LayersTest, TheLastLayerHasNoWindow) {
  json config = e2b();
  config["num_hidden_layers"] = 8;
  config.erase("layer_types");
  EXPECT_THAT(*facts_of(config).get_bools("attention.sliding_window_pattern"),
              ElementsAre(true, true, true, true, true, false, true, false));
}

TEST(Gemma4LayersTest, WhatDoesNotFitIsSaidInOneLine) {
  const std::pair<json, const char*> cases[] = {
      {{{"num_hidden_layers", 0}}, "key 'num_hidden_layers': 0 is out of range"},
      {{{"num_hidden_layers", 4294967295}}, "key 'num_hidden_layers': 4294967295 is out of range"},
      {{{"num_hidden_layers", 5}}, "key 'layer_types': 4 types for 5 layers"},
      {{{"layer_types", 5}}, "key 'layer_types': expected a list"},
      {{{"layer_types", {"full_attention", 1, 1, 1}}}, "key 'layer_types': 1 is not supported"},
      {{{"head_dim", 0}}, "key 'head_dim': 0 is out of range"},
      {{{"global_head_dim", 4294967295}}, "key 'global_head_dim': 4294967295 is out of range"},
      {{{"per_layer_config", {{"9", json::object()}}}},
       "key 'per_layer_config': '9' is no layer's"},
      {{{"per_layer_config", {{"x", json::object()}}}},
       "key 'per_layer_config': 'x' is no layer's"},
      {{{"per_layer_config", {{"1", {{"head_dim", 8}}}, {"3", {{"head_dim", 16}}}}}},
       "key 'per_layer_config': layers of one kind that differ in 'head_dim' are not supported"},
      {{{"per_layer_config", {{"0", {{"head_dim", 8}}}}}},
       "key 'per_layer_config': layers of one kind that differ in 'head_dim' are not supported"},
      {{{"rope_parameters", {{"full_attention", {{"rope_type", "yarn"}}}}}},
       "key 'rope_type': 'yarn' is not supported, expected 'proportional'"},
      {{{"rope_parameters", {{"sliding_attention", {{"rope_type", "linear"}}}}}},
       "key 'rope_type': 'linear' is not supported, expected 'default'"},
      {{{"rope_parameters", {{"full_attention", {{"partial_rotary_factor", 2}}}}}},
       "key 'partial_rotary_factor': 2 is not in (0, 1]"},
      {{{"rope_parameters", {{"full_attention", {{"factor", -1}}}}}},
       "key 'factor': -1 is not positive"},
      {{{"enable_moe_block", true}}, "key 'num_experts' is missing (expected a whole number)"},
      {{{"num_kv_shared_layers", "two"}},
       "key 'num_kv_shared_layers': expected a whole number, found \"two\""},
  };
  for (const auto& [members, expected] : cases) {
    const json config = with(e2b(), members);
    EXPECT_EQ(error_of([&] { facts_of(config); }), expected) << members;
  }
}

}  // namespace
}  // namespace tessera
