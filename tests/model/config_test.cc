#include "model/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <vector>

#include "base/error.h"
#include "files/gguf/reader.h"
#include "support/error_of.h"
#include "support/rewritten_gguf.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

class ConfigTest : public testing::Test {
 protected:
  // A tiny model whose metadata is changed.
  GgufFile with(const std::string& key, GgufValue::Variant value) {
    return changed(write_tiny_model({}, folder_.path()), key, std::move(value));
  }
  GgufFile changed(const std::filesystem::path& model, const std::string& key,
                   GgufValue::Variant value) {
    return GgufFile::open(test::rewrite_gguf(
        model, folder_ / "changed.gguf",
        {.metadata = [&](GgufMetadata& metadata) { metadata.set(key, {std::move(value)}); }}));
  }
  void expect_error(const std::string& key, GgufValue::Variant value) {
    EXPECT_THROW(read_config(with(key, std::move(value))), Error) << key;
  }

  test::TempFolder folder_;
};

TEST_F(ConfigTest, ReadsATinyModel) {
  const Config config = read_config(with("general.name", std::string("x")));
  EXPECT_EQ(config.architecture->name, "llama");
  EXPECT_GT(config.vocabulary, 0);
}

TEST_F(ConfigTest, LayersMayDiffer) {
  const GgufFile file =
      with("llama.feed_forward_length", GgufValue::Array(std::vector<int32_t>{96, 160}));
  const Config config = read_config(file);
  ASSERT_EQ(config.layers.size(), 2U);
  EXPECT_EQ(config.layers[0].feed_forward, 96);
  EXPECT_EQ(config.layers[1].feed_forward, 160);

  const Config heads = read_config(
      with("llama.attention.head_count_kv", GgufValue::Array(std::vector<int32_t>{2, 4})));
  EXPECT_EQ(heads.layers[0].kv_heads, 2);
  EXPECT_EQ(heads.layers[1].kv_heads, 4);
}

// Layers whose heads are alike share a rotary embedding; one may be as long as its layer's heads.
TEST_F(ConfigTest, HeadLengthsMayDiffer) {
  const auto path =
      write_tiny_model({.layers = 4, .head_dim = 32, .uneven_head_dims = true}, folder_.path());
  const Config config = read_config(GgufFile::open(path));
  ASSERT_EQ(config.ropes.size(), 2U);
  for (size_t i = 0; i < 4; ++i) {
    const LayerConfig& layer = config.layers[i];
    EXPECT_EQ(layer.head_dim, i % 2 == 0 ? 32 : 16);
    EXPECT_EQ(config.ropes[static_cast<size_t>(layer.rope)].dimensions, layer.head_dim);
    EXPECT_FLOAT_EQ(layer.attention_scale, 1 / std::sqrt(static_cast<float>(layer.head_dim)));
  }
}

TEST_F(ConfigTest, RefusesListsThatAreNotOfTheLayers) {
  const auto list = [](std::vector<int32_t> values) { return GgufValue::Array(std::move(values)); };
  expect_error("llama.feed_forward_length", list({96}));
  expect_error("llama.feed_forward_length", list({96, 96, 96}));
  expect_error("llama.feed_forward_length", list({96, -1}));
  expect_error("llama.attention.head_count", list({}));
  expect_error("llama.attention.head_count_kv", list({2, 4, 4}));
  expect_error("llama.attention.head_count_kv", list({2, 3}));  // of 4 query heads
  expect_error("llama.attention.key_length", list({16}));
  expect_error("llama.attention.key_length", list({16, 15}));
  expect_error("llama.attention.head_count", GgufValue::Array(std::vector<float>{4, 4}));
}

// A rotary embedding is made for each before any tensor is looked for.
TEST_F(ConfigTest, WindowsMayBeSaidLayerByLayer) {
  const auto model =
      write_tiny_model({.architecture = "exaone4", .layers = 3, .window = 24}, folder_.path());
  const std::string key = "exaone4.attention.sliding_window_pattern";
  const GgufFile file = changed(model, key, GgufValue::Array(std::vector<bool>{true, false, true}));
  const Config config = read_config(file);
  EXPECT_EQ(config.layers[0].window, 24);
  EXPECT_EQ(config.layers[1].window, 0);
  EXPECT_EQ(config.layers[2].window, 24);
  EXPECT_EQ(config.layers[1].rope, LayerConfig::kUnrotated);  // EXAONE 4 rotates with windows only
  EXPECT_NE(config.layers[2].rope, LayerConfig::kUnrotated);

  const GgufFile two = changed(model, key, GgufValue::Array(std::vector<bool>{true, false}));
  EXPECT_EQ(error_of([&] { read_config(two); }), "key '" + key + "': 2 values for 3 layers");
}

TEST_F(ConfigTest, LearnedPositionsBoundTheContext) {
  const auto model = write_tiny_model({.architecture = "gpt2"}, folder_.path());
  const GgufFile file = GgufFile::open(model);
  EXPECT_EQ(read_config(file).learned_positions, 256);
  EXPECT_EQ(error_of([&] { read_config(file, 257); }),
            "a context of 257 is longer than the 256 positions that the model has learned");
}

TEST_F(ConfigTest, ParallelResidualsMayBeOff) {
  const auto model = write_tiny_model({.architecture = "gptneox"}, folder_.path());
  EXPECT_TRUE(read_config(GgufFile::open(model)).parallel_residual);
  const GgufFile in_turn = changed(model, "gptneox.use_parallel_residual", false);
  EXPECT_FALSE(read_config(in_turn).parallel_residual);
}

TEST_F(ConfigTest, RefusesHeadsOfManyLengths) {
  const auto path = write_tiny_model({.layers = 9}, folder_.path());
  const auto with_lengths = [&](int lengths) {
    std::vector<int32_t> values;
    for (int i = 0; i < 9; ++i) values.push_back(16 + 2 * (i % lengths));
    return changed(path, "llama.attention.key_length", GgufValue::Array(values));
  };
  EXPECT_EQ(error_of([&] { read_config(with_lengths(8)); }),  // only that no tensors are like that
            "tensor 'blk.1.attn_output.weight' is 64 x 64, expected 72 columns");
  EXPECT_EQ(error_of([&] { read_config(with_lengths(9)); }),
            "heads of more than 8 lengths in one model are not supported");
}

// Memory is reserved for what experts answer, and places for each of them, before any is looked
// for.
TEST_F(ConfigTest, RefusesExpertsThatDoNotFit) {
  const auto refused = [&](const std::string& architecture, const std::string& name,
                           GgufValue::Variant value) {
    const auto path = write_tiny_model({.architecture = architecture}, folder_.path());
    return error_of([&] { read_config(changed(path, architecture + "." + name, value)); });
  };
  EXPECT_EQ(refused("qwen3moe", "expert_count", uint32_t{4097}),
            "key 'qwen3moe.expert_count': 4097 is out of range");
  EXPECT_EQ(refused("qwen3moe", "expert_used_count", uint32_t{7}),
            "key 'qwen3moe.expert_used_count': 7 of 6 experts");
  EXPECT_EQ(refused("qwen3moe", "expert_used_count", uint32_t{0}),
            "key 'qwen3moe.expert_used_count': 0 is out of range");
  EXPECT_EQ(
      refused("qwen3moe", "expert_feed_forward_length", uint32_t{1 << 24}),
      "6 experts of length 16777216, of which 2 are used, are too large for an embedding of 64");
  EXPECT_EQ(refused("glm4moe", "expert_shared_count", uint32_t{1 << 24}),
            "key 'glm4moe.expert_shared_count': 16777216 is out of range");
  EXPECT_EQ(refused("glm4moe", "expert_gating_func", uint32_t{9}),
            "key 'glm4moe.expert_gating_func': 9 is not supported");
  EXPECT_EQ(refused("glm4moe", "expert_group_count", uint32_t{4}),
            "4 of 4 groups of experts, of which there are 6, are not supported");
  EXPECT_EQ(refused("glm4moe", "expert_group_used_count", uint32_t{2}),
            "2 of 1 groups of experts, of which there are 6, are not supported");
  EXPECT_EQ(refused("glm4moe", "nextn_predict_layers", uint32_t{2}),
            "key 'glm4moe.nextn_predict_layers': 2 of 2 layers");
}

TEST_F(ConfigTest, ExpertsStandBehindTheLeadingDenseLayers) {
  const auto path = write_tiny_model({.architecture = "glm4moe", .layers = 3}, folder_.path());
  const Config config = read_config(GgufFile::open(path));
  EXPECT_EQ(config.layers[0].experts.count, 0);
  EXPECT_EQ(config.layers[1].experts.count, 6);
  EXPECT_EQ(config.layers[2].experts.used, 2);
  EXPECT_EQ(config.layers[2].experts.shared, config.layers[2].experts.feed_forward);
}

TEST_F(ConfigTest, RefusesLatentsThatDoNotFit) {
  const auto path = write_tiny_model({.architecture = "deepseek2"}, folder_.path());
  const auto refused = [&](const std::string& name, GgufValue::Variant value) {
    return error_of([&] { read_config(changed(path, "deepseek2." + name, value)); });
  };
  EXPECT_EQ(
      refused("rope.dimension_count", uint32_t{64}),
      "key 'deepseek2.rope.dimension_count': 64 does not fit keys of length 64 and latents of "
      "32");
  EXPECT_EQ(
      refused("attention.kv_lora_rank", uint32_t{31}),
      "key 'deepseek2.rope.dimension_count': 32 does not fit keys of length 64 and latents of "
      "31");
  EXPECT_NE(refused("attention.kv_lora_rank", uint32_t{1 << 24}), "");
  EXPECT_EQ(refused("attention.value_length_mla", uint32_t{1 << 24}),
            "4 heads with keys of 64 and values of 16777216 are too large");
  EXPECT_EQ(refused("attention.temperature_scale", 0.1f),
            "key 'deepseek2.attention.temperature_scale': not supported in models of 'deepseek2'");
}

TEST_F(ConfigTest, RefusesStatesThatDoNotFit) {
  const auto refused = [&](const std::string& architecture, const std::string& name, auto value) {
    const auto path = write_tiny_model({.architecture = architecture}, folder_.path());
    return error_of([&] { read_config(changed(path, architecture + "." + name, value)); });
  };
  EXPECT_EQ(refused("qwen35", "ssm.group_count", uint32_t{3}),
            "key 'qwen35.ssm.group_count': 4 heads cannot share 3 keys");
  EXPECT_EQ(refused("qwen35", "ssm.inner_size", uint32_t{130}),
            "key 'qwen35.ssm.inner_size': 130 values cannot be shared by 4 heads");
  EXPECT_EQ(refused("qwen35", "ssm.state_size", uint32_t{0}),
            "key 'qwen35.ssm.state_size': 0 is out of range");
  EXPECT_EQ(
      refused("qwen35", "ssm.state_size", uint32_t{1 << 20}),
      "recurrent layers of 4 heads with keys of 1048576, values of 32 and 4 taps are too large");
  EXPECT_EQ(
      refused("qwen35", "ssm.conv_kernel", uint32_t{1000}),
      "recurrent layers of 4 heads with keys of 32, values of 32 and 1000 taps are too large");
  EXPECT_EQ(refused("qwen35", "ssm.state_size", uint32_t{64}),
            "tensor 'blk.0.ssm_conv1d.weight' is 4 x 256, expected 384 rows");
  EXPECT_EQ(refused("qwen35", "ssm.inner_size", uint32_t{1 << 22}),
            "tensor 'blk.0.ssm_conv1d.weight' is 4 x 256, expected 4194432 rows");
  EXPECT_EQ(refused("qwen35", "attention.recurrent_layers",
                    GgufValue::Array(std::vector<bool>{true, false})),
            "key 'qwen35.attention.recurrent_layers': 2 values for 5 layers");
  EXPECT_EQ(refused("lfm2", "shortconv.l_cache", uint32_t{1}),
            "key 'lfm2.shortconv.l_cache': 1 is out of range");
  EXPECT_EQ(refused("lfm2", "shortconv.l_cache", uint32_t{1 << 20}),
            "key 'lfm2.shortconv.l_cache': 1048576 is out of range");
  EXPECT_EQ(refused("llama", "ssm.conv_kernel", uint32_t{4}),
            "key 'llama.ssm.conv_kernel': not supported in models of 'llama'");
}

TEST_F(ConfigTest, LayersWithoutKeysAreRecurrent) {
  const auto kinds = [&](const char* architecture) {
    std::string text;
    const Config config = read_config(
        GgufFile::open(write_tiny_model({.architecture = architecture}, folder_.path())));
    for (const LayerConfig& layer : config.layers) {
      const bool recurs = layer.recurrent.kind != RecurrentKind::kNone;
      text += recurs ? 'r' : layer.heads > 0 ? 'a' : '-';
    }
    return text;
  };
  EXPECT_EQ(kinds("qwen35"), "rrrar");
  EXPECT_EQ(kinds("lfm2"), "rrrar");
  EXPECT_EQ(kinds("granitehybrid"), "rrrar");
  EXPECT_EQ(kinds("nemotron_h"), "r-rar-r");
  EXPECT_EQ(kinds("mamba2"), "rr");
}

// Without them, these would answer with something else.
TEST_F(ConfigTest, FactsThatEveryModelOfAFamilyHasAreAsked) {
  for (const std::string architecture : {"gpt-oss", "cohere2"}) {
    const auto path =
        write_tiny_model({.architecture = architecture, .window = -1}, folder_.path());
    EXPECT_EQ(
        error_of([&] { read_config(GgufFile::open(path)); }),
        "key '" + architecture + ".attention.sliding_window' is missing (expected an integer)");
  }
  // Cohere's first models, by the numbers that Llama's files have.
  const auto path = test::rewrite_gguf(
      write_tiny_model({}, folder_.path()), folder_ / "changed.gguf",
      {.metadata = [](GgufMetadata& metadata) {
        metadata.set("general.architecture", {std::string("command-r")});
        for (const auto& [name, value] :
             {std::pair("context_length", 256u), std::pair("embedding_length", 64u),
              std::pair("block_count", 2u), std::pair("feed_forward_length", 160u),
              std::pair("attention.head_count", 4u)})
          metadata.set(std::string("command-r.") + name, {uint32_t{value}});
      }});
  EXPECT_EQ(error_of([&] { read_config(GgufFile::open(path)); }),
            "key 'command-r.logit_scale' is missing");
}

// Llama 4: three layers in four attend to chunks, and are rotated; where files are silent, its own
// numbers hold.
TEST_F(ConfigTest, ReadsChunks) {
  const auto path = write_tiny_model({.architecture = "llama4"}, folder_.path());
  const Config config = read_config(GgufFile::open(path));
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const LayerConfig& layer = config.layers[i];
    EXPECT_EQ(layer.chunk, i == 3 ? 0 : 24) << i;
    EXPECT_EQ(layer.rope == LayerConfig::kUnrotated, i == 3) << i;
    EXPECT_EQ(layer.window, 0);
    EXPECT_EQ(layer.experts.count, i % 2 == 1 ? 6 : 0) << i;
    EXPECT_EQ(layer.experts.shared, i % 2 == 1 ? 80 : 0) << i;
  }
  EXPECT_TRUE(config.unit_qk_norm);
  EXPECT_EQ(config.growth_length, 40);
  const auto silent = test::rewrite_gguf(
      path, folder_ / "silent.gguf", {.metadata = [](GgufMetadata& metadata) {
        for (const char* name : {"chunk_size", "temperature_length", "temperature_scale"})
          metadata.erase(std::string("llama4.attention.") + name);
        metadata.set("llama4.attention.sliding_window", {uint32_t{512}});  // which says nothing
      }});
  const Config usual = read_config(GgufFile::open(silent));
  EXPECT_EQ(usual.layers[0].chunk, 8192);
  EXPECT_EQ(usual.growth_length, 8192);
  EXPECT_FLOAT_EQ(usual.query_growth, 0.1f);
  const auto refused = [&](const std::string& name, auto value) {
    return error_of([&] { read_config(changed(path, "llama4." + name, value)); });
  };
  for (const int32_t chunk : {0, -8, 1 << 30})
    EXPECT_EQ(refused("attention.chunk_size", chunk),
              "key 'llama4.attention.chunk_size': " + std::to_string(chunk) + " is out of range");
  EXPECT_EQ(refused("attention.sliding_window", uint32_t{0}),
            "key 'llama4.attention.sliding_window': 0 is not supported in models of 'llama4'");
  EXPECT_EQ(refused("attention.temperature_length", uint32_t{0}),
            "key 'llama4.attention.temperature_length': 0 is out of range");
  EXPECT_EQ(refused("interleave_moe_layer_step", uint32_t{0}),
            "key 'llama4.interleave_moe_layer_step': 0 is out of range");
}

// What is reserved for heads and experts before their tensors are loaded is no more than these are.
TEST_F(ConfigTest, RefusesHeadsAndExpertsWithoutTensors) {
  const auto refused = [&](const std::string& architecture, const std::string& name,
                           uint32_t value) {
    const auto path = write_tiny_model({.architecture = architecture}, folder_.path());
    return error_of([&] { read_config(changed(path, architecture + "." + name, value)); });
  };
  EXPECT_EQ(refused("qwen3moe", "expert_count", 4096),
            "tensor 'blk.0.ffn_gate_inp.weight' is 64 x 6, expected 4096 rows");
  EXPECT_EQ(refused("deepseek2", "attention.head_count", 100000),
            "tensor 'blk.0.attn_output.weight' is 128 x 64, expected 3200000 columns");
  EXPECT_EQ(refused("bloom", "attention.head_count", 128),
            "an embedding of 64 cannot be shared by 128 heads");
}

// Its parts would be left out, or stand where others do.
TEST_F(ConfigTest, RefusesPartsThatTheFamilyDoesNotHave) {
  for (const char* architecture : {"qwen3", "gpt2", "smollm3", "granite"}) {
    const auto path = write_tiny_model({.architecture = architecture}, folder_.path());
    for (const std::string fact :
         {"attention.kv_lora_rank", "expert_count", "nextn_predict_layers",
          "attention.shared_kv_layers", "embedding_length_per_layer_input"}) {
      const std::string key = std::string(architecture) + "." + fact;
      EXPECT_EQ(error_of([&] { read_config(changed(path, key, uint32_t{4})); }),
                "key '" + key + "': not supported in models of '" + architecture + "'");
    }
  }
}

// Three layers keep keys and values, of which the second and the third serve three more.
TEST_F(ConfigTest, LayersMayReadAnotherOnesKeysAndValues) {
  const Config config =
      read_config(GgufFile::open(write_tiny_model({.architecture = "gemma4"}, folder_.path())));
  ASSERT_EQ(config.layers.size(), 6U);
  for (const auto& [layer, source] : {std::pair(0, 0), {1, 1}, {2, 2}, {3, 1}, {4, 1}, {5, 2}}) {
    const LayerConfig& shape = config.layers[static_cast<size_t>(layer)];
    EXPECT_EQ(shape.kv_layer, source);
    EXPECT_EQ(shape.shares_kv, layer > 2);
    EXPECT_FALSE(shape.keys_as_values);
    EXPECT_EQ(shape.head_dim, layer % 3 == 2 ? 64 : 32);
    EXPECT_FLOAT_EQ(shape.attention_scale, 1);
  }
  EXPECT_EQ(kv_shape(config, KvFormat::kF16).layers.size(), 3U);
}

TEST_F(ConfigTest, KeysMayStandForValues) {
  const auto path = write_tiny_model({.architecture = "gemma4", .experts = 6}, folder_.path());
  const Config config = read_config(GgufFile::open(path));
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(config.layers[i].keys_as_values, i % 3 == 2);
    EXPECT_EQ(config.layers[i].kv_heads, i % 3 == 2 ? 1 : 2);
    EXPECT_TRUE(config.layers[i].experts.fused_gate_up);
  }
}

TEST_F(ConfigTest, RefusesLayersThatShareWhatIsNotThere) {
  const auto path = write_tiny_model({.architecture = "gemma4"}, folder_.path());
  const auto refused = [&](const std::string& name, GgufValue::Variant value) {
    return error_of([&] { read_config(changed(path, "gemma4." + name, std::move(value))); });
  };
  EXPECT_EQ(refused("attention.shared_kv_layers", uint32_t{6}),
            "key 'gemma4.attention.shared_kv_layers': 6 of 6 layers");
  EXPECT_EQ(refused("attention.shared_kv_layers", uint64_t{1} << 40),
            "key 'gemma4.attention.shared_kv_layers': 1099511627776 is out of range");
  // The first layer without a window is the third.
  EXPECT_EQ(refused("attention.shared_kv_layers", uint32_t{4}),
            "layer 2 shares keys and values, but no layer before it has any for its window");
  EXPECT_EQ(
      refused("attention.head_count_kv", GgufValue::Array(std::vector<uint32_t>{2, 2, 2, 1, 2, 2})),
      "layer 3 has 1 key-value heads of length 32, but shares 2 of length 32");
  EXPECT_EQ(refused("attention.key_length_swa", uint32_t{1 << 24}),
            "keys of length 16777216 with values of length 32 are not supported");
  EXPECT_EQ(refused("attention.key_length_swa", uint64_t{1} << 40),
            "key 'gemma4.attention.key_length_swa': 1099511627776 is out of range");
  EXPECT_EQ(refused("rope.dimension_count_swa", uint32_t{64}),
            "key 'gemma4.rope.dimension_count_swa': 64 does not fit heads of length 32");
}

// Activations of a row are reserved before the tensors are looked at.
TEST_F(ConfigTest, RefusesPerLayerInputsThatAreTooLong) {
  const auto path = write_tiny_model({.architecture = "gemma4"}, folder_.path());
  const std::string key = "gemma4.embedding_length_per_layer_input";
  EXPECT_EQ(error_of([&] { read_config(changed(path, key, uint32_t{1 << 23})); }),
            "key '" + key + "': 8388608 for each of 6 layers is too large");
}

// Nothing may be made for layers that the file cannot hold.
TEST_F(ConfigTest, RefusesMoreLayersThanTensors) {
  expect_error("llama.block_count", uint32_t{1 << 24});
}

TEST_F(ConfigTest, RefusesAbsurdValues) {
  expect_error("general.architecture", std::string("llama9"));
  expect_error("llama.embedding_length", uint32_t{0});
  expect_error("llama.block_count", uint64_t{1} << 40);
  expect_error("llama.attention.head_count", uint32_t{0});
  expect_error("llama.attention.head_count", uint32_t{7});  // not a multiple of the key-value heads
  expect_error("llama.attention.value_length", uint32_t{8});
  expect_error("llama.attention.layer_norm_rms_epsilon", -1.0f);
  expect_error("llama.attention.sliding_window", uint64_t{1} << 32);
  expect_error("llama.rope.freq_base", 0.0f);
  expect_error("llama.rope.dimension_count", uint32_t{1 << 20});
  expect_error("llama.rope.scaling.type", std::string("magic"));
}

// 2^22 + 1 heads of 1024 wrap around to 1024 columns in 32 bits.
TEST_F(ConfigTest, RefusesHeadsWhoseProductWrapsAround) {
  const GgufFile file = with("llama.attention.head_count", uint32_t{4194305});
  EXPECT_THROW(read_config(file), Error);
}

}  // namespace
}  // namespace tessera
