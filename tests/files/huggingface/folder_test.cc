// Hugging Face folders: what is read of them, and that malformed ones are refused in one line.
#include "files/huggingface/folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "files/open.h"
#include "files/save.h"
#include "paths.h"
#include "support/error_of.h"
#include "support/safetensors.h"
#include "support/temp_folder.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const fs::path kFolders = fs::path(TESSERA_TEST_DATA) / "folders";

class FolderTest : public testing::Test {
 protected:
  FolderTest() { fs::copy(kFolders / "llama", folder_.path(), fs::copy_options::recursive); }

  json read(std::string_view name) const { return json::parse(test::read_bytes(folder_ / name)); }
  void write(std::string_view name, const json& value) const { folder_.write(name, value.dump()); }
  void change(std::string_view name, const std::function<void(json&)>& edit) const {
    json value = read(name);
    edit(value);
    write(name, value);
  }
  std::string error() const {
    return error_of([&] { open_checkpoint(folder_.path()); });
  }
  // ... with these members of config.json changed.
  std::string error_with(const json& members) const {
    const json before = read("config.json");
    json config = before;
    config.update(members);
    write("config.json", config);
    const std::string error_text = error();
    write("config.json", before);
    return error_text;
  }

  test::TempFolder folder_;
};

TEST_F(FolderTest, OpensByItsPathItsIndexAndAnyOfItsFiles) {
  const size_t tensors = open_checkpoint(folder_.path())->tensors().size();
  for (const char* name : {"model.safetensors.index.json", "model-00002-of-00002.safetensors"})
    EXPECT_EQ(open_checkpoint(folder_ / name)->tensors().size(), tensors) << name;
}

TEST_F(FolderTest, FactsHaveGgufsNamesAndErrorsHaveThoseOfTheFolder) {
  const auto model = open_checkpoint(folder_.path());
  EXPECT_EQ(model->facts().get_string("general.architecture"), "llama");
  EXPECT_EQ(model->facts().get_int("block_count"), 2);
  EXPECT_EQ(model->facts().get_int("attention.head_count_kv"), 1);
  EXPECT_EQ(model->facts().get_float("rope.freq_base"), 10000.0);
  EXPECT_EQ(model->facts().key_of("block_count"), "num_hidden_layers");
  EXPECT_NE(model->find({TensorRole::kQuery, 1}), nullptr);
  EXPECT_EQ(model->require({TensorRole::kQuery, 1}).name, "model.layers.1.self_attn.q_proj.weight");
  EXPECT_EQ(written_name(*model, model->require({TensorRole::kQuery, 1})), "blk.1.attn_q.weight");
}

TEST_F(FolderTest, SamplingOfGenerationConfig) {
  write("generation_config.json", {{"temperature", 0.7}, {"top_k", 20}, {"do_sample", true}});
  const auto model = open_checkpoint(folder_.path());
  EXPECT_FLOAT_EQ(static_cast<float>(*model->facts().get_float("general.sampling.temp")), 0.7f);
  EXPECT_EQ(model->facts().get_int("general.sampling.top_k"), 20);
  // As requests may say it: -1 is off, and no share at all is the likeliest token's.
  write("generation_config.json", {{"top_k", -1}, {"top_p", 1.0}});
  EXPECT_EQ(open_checkpoint(folder_.path())->facts().get_int("general.sampling.top_k"), 0);
  write("generation_config.json", {{"top_k", 40}, {"top_p", 0}});
  EXPECT_EQ(open_checkpoint(folder_.path())->facts().get_int("general.sampling.top_k"), 1);
  EXPECT_EQ(open_checkpoint(folder_.path())->facts().get_float("general.sampling.top_p"), 1);
  for (const json& bad : {json(-2), json(0.5), json("40")}) {
    write("generation_config.json", {{"top_k", bad}});
    EXPECT_THAT(error(), HasSubstr("'top_k'")) << bad;
  }
  write("generation_config.json", {{"temperature", -1}});
  EXPECT_THAT(error(), AllOf(HasSubstr("generation_config.json"), HasSubstr("temperature")));
}

// transformers has no windows in Llama, whatever config.json says, but in Mistral.
TEST_F(FolderTest, WindowsAreThoseOfTheFamily) {
  change("config.json", [](json& config) { config["sliding_window"] = 8; });
  EXPECT_FALSE(open_checkpoint(folder_.path())->facts().get_int("attention.sliding_window"));
  change("config.json", [](json& config) { config["model_type"] = "mistral"; });
  EXPECT_EQ(open_checkpoint(folder_.path())->facts().get_int("attention.sliding_window"), 8);
}

TEST_F(FolderTest, OtherModalitiesAreLeftOut) {
  change("config.json", [](json& config) {
    json text = config;
    config = {{"model_type", "gemma3"}, {"text_config", text}, {"tie_word_embeddings", false}};
  });
  // What the text model is stored in may stand on either level.
  for (const char* level : {"", "/text_config"}) {
    const json before = read("config.json");
    change("config.json", [&](json& config) {
      config[json::json_pointer(level)]["quantization_config"] = {{"quant_method", "made_up"}};
    });
    EXPECT_THAT(error(), HasSubstr("made_up")) << level;
    write("config.json", before);
  }
  for (const char* file : {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"})
    ASSERT_TRUE(fs::exists(folder_ / file));
  const size_t before = open_checkpoint(folder_.path())->tensors().size();
  folder_.write(
      "vision.safetensors",
      test::safetensors_of({test::float_tensor("model.vision_tower.a.weight", {1, 2}, {1, 2})}));
  change("model.safetensors.index.json", [](json& index) {
    index["weight_map"]["model.vision_tower.a.weight"] = "vision.safetensors";
  });
  EXPECT_EQ(open_checkpoint(folder_.path())->tensors().size(), before);
}

TEST_F(FolderTest, ConfigurationsThatCannotBe) {
  const std::pair<json, const char*> cases[] = {
      {{{"model_type", "made_up"}}, "made_up"},
      {{{"model_type", 7}}, "model_type"},
      {{{"model_type", nullptr}}, "model_type"},
      {{{"hidden_act", "relu"}}, "relu"},
      {{{"num_hidden_layers", "two"}}, "num_hidden_layers"},
      {{{"num_hidden_layers", -1}}, "num_hidden_layers"},
      {{{"num_hidden_layers", 1e300}}, "num_hidden_layers"},
      {{{"num_attention_heads", 5}}, "5 heads"},
      {{{"rms_norm_eps", {1}}}, "rms_norm_eps"},
      {{{"rope_parameters", {{"rope_type", "made_up"}}}}, "made_up"},
      {{{"rope_parameters", {{"rope_type", "yarn"}, {"factor", -2}}}}, "factor"},
      {{{"rope_parameters", {{"rope_type", "llama3"}}}}, "factor"},
      {{{"rope_parameters",
         {{"rope_type", "longrope"},
          {"original_max_position_embeddings", 16},
          {"long_factor", {1, "x"}}}}},
       "long_factor"},
      {{{"rope_parameters", 5}}, "rope_parameters"},
      {{{"partial_rotary_factor", 0}, {"rope_parameters", nullptr}}, "partial_rotary_factor"},
      {{{"model_type", "mistral"},
        {"layer_types", {"linear_attention", "full_attention"}},
        {"sliding_window", 8}},
       "linear_attention"},
      {{{"model_type", "mistral"}, {"layer_types", {"full_attention"}}, {"sliding_window", 8}},
       "1 types for 2 layers"},
      {{{"quantization_config", {{"quant_method", "made_up"}}}}, "made_up"},
      {{{"text_config", "x"}}, "text_config"},
      {{{"head_dim", 4294967294},
        {"rope_parameters",
         {{"rope_type", "llama3"},
          {"factor", 8},
          {"low_freq_factor", 1},
          {"high_freq_factor", 4},
          {"original_max_position_embeddings", 16}}}},
       "4294967294 values are rotated"},
  };
  for (const auto& [members, expected] : cases)
    EXPECT_THAT(error_with(members), HasSubstr(expected)) << members;
  EXPECT_EQ(error(), "(no error)");
}

TEST_F(FolderTest, FilesThatAreNoJson) {
  const std::string deep = std::string(100000, '[');
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("{\"a\": 1, \"a\": 2}"),
        std::string("\xff\xfe"), "{\"a\": " + deep, std::string("{\"a\": 1e999}")}) {
    folder_.write("config.json", text);
    EXPECT_THAT(error(), AllOf(HasSubstr("config.json"), Not(HasSubstr("\n"))))
        << text.substr(0, 40);
  }
}

TEST_F(FolderTest, IndicesThatReachOutside) {
  for (const char* name : {"../model.safetensors", "/etc/passwd", "a/b.safetensors", "",
                           "model.bin", ".hidden.safetensors", "..\\a.safetensors"}) {
    change("model.safetensors.index.json",
           [&](json& index) { index["weight_map"]["model.norm.weight"] = name; });
    EXPECT_THAT(error(), HasSubstr("expected the name of a safetensors file of the folder"))
        << name;
  }
  change("model.safetensors.index.json",
         [&](json& index) { index["weight_map"]["model.norm.weight"] = "gone.safetensors"; });
  EXPECT_THAT(error(), AllOf(HasSubstr("gone.safetensors"), HasSubstr("is missing")));
  write("model.safetensors.index.json", {{"weight_map", json::object()}});
  EXPECT_THAT(error(), HasSubstr("weight_map"));
}

TEST_F(FolderTest, TensorsThatContradictTheIndexOrEachOther) {
  change("model.safetensors.index.json", [&](json& index) {
    index["weight_map"]["model.made_up.weight"] = "model-00001-of-00002.safetensors";
  });
  EXPECT_THAT(error(), AllOf(HasSubstr("model.made_up.weight"), HasSubstr("no file holds")));
  change("model.safetensors.index.json", [&](json& index) {
    index["weight_map"].erase("model.made_up.weight");
    index["weight_map"]["model.norm.weight"] = "again.safetensors";
  });
  folder_.write("again.safetensors", test::safetensors_of({test::float_tensor(
                                         "model.norm.weight", {16}, std::vector<float>(16, 1))}));
  EXPECT_THAT(error(), HasSubstr("model.norm.weight"));
}

TEST_F(FolderTest, OutputsThatAreTied) {
  EXPECT_NE(open_checkpoint(folder_.path())->find({TensorRole::kOutput}), nullptr);
  change("config.json", [](json& config) { config["tie_word_embeddings"] = true; });
  EXPECT_EQ(open_checkpoint(folder_.path())->find({TensorRole::kOutput}), nullptr);
  fs::remove_all(folder_.path());
  fs::copy(kFolders / "llama-scaled", folder_.path());
  EXPECT_EQ(error(), "(no error)");
  EXPECT_THAT(error_with({{"tie_word_embeddings", false}}),
              AllOf(HasSubstr("lm_head.weight"), HasSubstr("missing")));
}

TEST_F(FolderTest, NormsOfQueriesAndKeysAreThereIfConfigSaysSo) {
  EXPECT_THAT(error_with({{"use_qk_norm", true}}),
              AllOf(HasSubstr("'model.layers.0.self_attn.q_norm.weight' is missing"),
                    HasSubstr("use_qk_norm is true")));
  fs::remove_all(folder_.path());
  fs::copy(kFolders / "glm4-moe", folder_.path());
  EXPECT_EQ(error(), "(no error)");
  EXPECT_THAT(error_with({{"use_qk_norm", false}}),
              AllOf(HasSubstr("'model.layers.0.self_attn.q_norm.weight' is there"),
                    HasSubstr("use_qk_norm is false")));
}

TEST_F(FolderTest, WhatAFamilyMayNotSayIsRefused) {
  const std::tuple<const char*, json, const char*> cases[] = {
      {"falcon-h1", {{"ssm_multipliers", {1, 2}}}, "'ssm_multipliers': 2 numbers, expected 5"},
      {"falcon-h1-norm", {{"mamba_norm_before_gate", true}}, "mamba_norm_before_gate"},
      {"falcon-h1-norm", {{"lm_head_multiplier", 0}}, "lm_head_multiplier"},
      {"deepseek-v2", {{"topk_method", "made_up"}}, "made_up"},
      {"deepseek-v2", {{"scoring_func", "sigmoid"}}, "scoring_func"},
      {"deepseek-v3", {{"topk_method", "greedy"}}, "greedy"},
      {"nemotron-h-moe", {{"mlp_bias", true}}, "mlp_bias"},
      {"mamba2-state-spaces", {{"attn_layer_idx", {1}}}, "attn_layer_idx"},
  };
  for (const auto& [name, members, expected] : cases) {
    fs::remove_all(folder_.path());
    fs::copy(kFolders / name, folder_.path());
    EXPECT_EQ(error(), "(no error)") << name;
    EXPECT_THAT(error_with(members), HasSubstr(expected)) << name;
  }
}

// Whatever config.json says of their number: transformers saves none of them.
TEST_F(FolderTest, LayersForFurtherTokensAreCounted) {
  const auto facts = [&](const char* name) {
    return open_checkpoint(kFolders / name)->facts().get_int("nextn_predict_layers");
  };
  EXPECT_EQ(facts("glm4-moe"), std::nullopt);
  for (const char* name : {"glm4-moe-mtp", "deepseek-v3-mtp", "qwen35-mtp", "qwen3-next-mtp"})
    EXPECT_EQ(facts(name), 1) << name;
  const auto model = open_checkpoint(kFolders / "qwen3-next-mtp");
  EXPECT_EQ(model->facts().get_int("block_count"), 6);
  EXPECT_EQ(model->facts().get_bools("attention.recurrent_layers")->size(), 6U);
  EXPECT_NE(model->find({TensorRole::kNextTokenProjection, 5}), nullptr);
  EXPECT_NE(model->find({TensorRole::kExpertsUp, 5}), nullptr);
}

TEST_F(FolderTest, PythonsInfinityIsAnOpenBound) {
  fs::remove_all(folder_.path());
  fs::copy(kFolders / "nemotron-h", folder_.path());
  change("config.json", [](json& config) { config["time_step_limit"] = {0.0, "@"}; });
  std::string text = test::read_bytes(folder_ / "config.json");
  text.replace(text.find("\"@\""), 3, "Infinity");
  folder_.write("config.json", text);
  EXPECT_EQ(error(), "(no error)");
  text.replace(text.find("Infinity"), 8, "1.0");
  const size_t epsilon = text.find(':', text.find("\"layer_norm_epsilon\"")) + 1;
  // Where a default would take the place of null.
  text.replace(epsilon, text.find(',', epsilon) - epsilon, "Infinity");
  folder_.write("config.json", text);
  EXPECT_THAT(error(), HasSubstr("config.json"));
}

TEST_F(FolderTest, PicklesAreRefusedByName) {
  for (const auto& entry : fs::directory_iterator(folder_.path())) {
    if (entry.path().extension() == ".safetensors" ||
        entry.path().filename().string().ends_with("index.json"))
      fs::remove(entry.path());
  }
  EXPECT_THAT(error(), HasSubstr("holds no safetensors"));
  folder_.write("pytorch_model.bin", "\x80\x02");
  EXPECT_THAT(error(), HasSubstr("PyTorch pickles"));
  EXPECT_THAT(error_of([&] { open_checkpoint(folder_ / "pytorch_model.bin"); }),
              HasSubstr("PyTorch pickle"));
}

TEST_F(FolderTest, FoldersOfNothing) {
  const test::TempFolder empty;
  EXPECT_THAT(error_of([&] { open_checkpoint(empty.path()); }),
              HasSubstr("a folder without config.json or a GGUF file"));
}

}  // namespace
}  // namespace tessera
