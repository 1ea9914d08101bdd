// LoRA adapters out of files: what is read of them, and that whatever would change the answers and
// is not understood is refused by name.
#include "files/open_adapter.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "files/gguf/writer.h"
#include "files/open.h"
#include "support/error_of.h"
#include "support/safetensors.h"
#include "support/temp_folder.h"
#include "support/tiny_lora.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using nlohmann::json;
using test::float_tensor;
using test::NamedTensor;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class AdapterTest : public testing::Test {
 protected:
  // An adapter of rank 2 for the query matrix of the first layer, 64 x 64, and what is changed in
  // it.
  struct Peft {
    json config = {{"peft_type", "LORA"}, {"r", 2}, {"lora_alpha", 8}};
    std::vector<NamedTensor> tensors = {
        float_tensor(kQuery + ".lora_A.weight", {2, 64}, std::vector<float>(128, 0.5f)),
        float_tensor(kQuery + ".lora_B.weight", {64, 2}, std::vector<float>(128, 0.25f))};
  };
  std::filesystem::path write(const Peft& peft) {
    const auto folder = folder_ / ("adapter" + std::to_string(number_++));
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "adapter_config.json") << peft.config.dump();
    std::ofstream(folder / "adapter_model.safetensors", std::ios::binary)
        << test::safetensors_of(peft.tensors);
    return folder;
  }
  StoredAdapter open(const std::filesystem::path& path) { return open_adapter(path, *model_); }
  std::string error(const std::filesystem::path& path) {
    return error_of([&] { open(path); });
  }
  std::string error(const std::function<void(Peft&)>& change) {
    Peft peft;
    change(peft);
    return error(write(peft));
  }
  std::string config_error(const std::string& key, const json& value) {
    return error([&](Peft& peft) { peft.config[key] = value; });
  }
  float scale(const json& changes, const std::string& module = kQuery) {
    Peft peft;
    peft.config.update(changes);
    for (NamedTensor& tensor : peft.tensors)
      tensor.name = module + tensor.name.substr(kQuery.size());
    return open(write(peft)).matrices.at(0).scale;
  }
  std::filesystem::path write_gguf(const std::function<void(GgufMetadata&)>& change,
                                   const std::string& down = "blk.0.attn_q.weight.lora_a",
                                   const std::string& up = "blk.0.attn_q.weight.lora_b",
                                   std::vector<uint64_t> down_shape = {64, 2},
                                   std::vector<uint64_t> up_shape = {2, 64}) {
    GgufMetadata metadata;
    metadata.set("general.architecture", {std::string("llama")});
    metadata.set("general.type", {std::string("adapter")});
    metadata.set("adapter.type", {std::string("lora")});
    metadata.set("adapter.lora.alpha", {8.0f});
    change(metadata);
    GgufWriter writer(metadata);
    writer.declare(down, kF32, down_shape);
    writer.declare(up, kF32, up_shape);
    const auto path = folder_ / ("adapter" + std::to_string(number_++) + ".gguf");
    writer.write(path, [&](size_t i) {
      const auto& shape = i == 0 ? down_shape : up_shape;
      return std::vector<std::byte>(shape[0] * shape[1] * sizeof(float));
    });
    return path;
  }

  static inline const std::string kQuery = "base_model.model.model.layers.0.self_attn.q_proj";
  test::TempFolder folder_;
  int number_ = 0;
  const std::shared_ptr<const Checkpoint> model_ =
      open_checkpoint(write_tiny_model({}, folder_.path()));
};

TEST_F(AdapterTest, WhatPeftWrites) {
  const StoredAdapter adapter = open(write({}));
  ASSERT_EQ(adapter.matrices.size(), 1U);
  const StoredLowRank& one = adapter.matrices[0];
  EXPECT_EQ(one.down.place, (TensorPlace{TensorRole::kQuery, 0}));
  EXPECT_EQ(one.scale, 4.0f);
  EXPECT_EQ(adapter.find({TensorRole::kQuery, 0}), &one);
  EXPECT_EQ(adapter.find({TensorRole::kKey, 0}), nullptr);
  EXPECT_EQ(adapter.name, "adapter0");
  EXPECT_EQ(open(folder_ / "adapter0" / "adapter_model.safetensors").name, "adapter0");
}

TEST_F(AdapterTest, ScalesAreThoseOfPeft) {
  const std::string down = "base_model.model.model.layers.0.mlp.gate_proj";
  EXPECT_EQ(scale({{"use_rslora", true}}), static_cast<float>(8 / std::sqrt(2.0)));
  EXPECT_EQ(scale({{"lora_alpha", 0.5}}), 0.25f);
  EXPECT_EQ(scale({{"r", 16}, {"rank_pattern", {{"q_proj", 2}}}}), 4.0f);
  EXPECT_EQ(scale({{"alpha_pattern", {{"q_proj", 3}}}}), 1.5f);
  EXPECT_EQ(scale({{"alpha_pattern", {{"layers.0.self_attn.q_proj", 3}}}}), 1.5f);
  EXPECT_EQ(scale({{"alpha_pattern", {{"^model.layers.0.self_attn.q_proj", 3}}}}), 1.5f);
  EXPECT_EQ(scale({{"alpha_pattern", {{"^layers.0.self_attn.q_proj", 3}}}}), 4.0f);
  EXPECT_EQ(scale({{"alpha_pattern", {{"model\\.layers\\.[0-3]\\..*", 3}}}}), 1.5f);
  EXPECT_EQ(scale({{"alpha_pattern", {{"_proj", 3}, {"layers.1.self_attn.q_proj", 5}}}}), 4.0f);
  EXPECT_EQ(scale({{"bias", "none"},
                   {"use_dora", false},
                   {"modules_to_save", nullptr},
                   {"init_lora_weights", true},
                   {"layer_replication", nullptr},
                   {"target_modules", {"q_proj"}},
                   {"lora_dropout", 0.05},
                   {"megatron_core", "megatron.core"},
                   {"task_type", "CAUSAL_LM"},
                   {"exclude_modules", nullptr},
                   {"fan_in_fan_out", false}}),
            4.0f);
  EXPECT_THAT(error_of([&] {
                scale({{"alpha_pattern", {{"q_proj", 3}, {"self_attn.q_proj", 5}}}});
              }),
              HasSubstr("both name module"));
}

TEST_F(AdapterTest, WhatWouldChangeTheAnswersIsRefusedByName) {
  EXPECT_THAT(config_error("peft_type", "IA3"), HasSubstr("'peft_type' is 'IA3'"));
  EXPECT_THAT(config_error("use_dora", true), HasSubstr("'use_dora'"));
  EXPECT_THAT(config_error("bias", "all"), HasSubstr("'bias' is 'all'"));
  EXPECT_THAT(config_error("lora_bias", true), HasSubstr("'lora_bias'"));
  EXPECT_THAT(config_error("modules_to_save", {"lm_head"}), HasSubstr("'modules_to_save'"));
  EXPECT_THAT(config_error("fan_in_fan_out", true), HasSubstr("'fan_in_fan_out'"));
  EXPECT_THAT(config_error("layer_replication", {{0, 1}}), HasSubstr("'layer_replication'"));
  EXPECT_THAT(config_error("trainable_token_indices", {1}), HasSubstr("'trainable_token_indices'"));
  EXPECT_THAT(config_error("target_parameters", {"a.b"}), HasSubstr("'target_parameters'"));
  EXPECT_THAT(config_error("alora_invocation_tokens", {1}), HasSubstr("'alora_invocation_tokens'"));
  EXPECT_THAT(config_error("use_qalora", true), HasSubstr("'use_qalora'"));
  EXPECT_THAT(config_error("init_lora_weights", "pissa_niter_4"), HasSubstr("'init_lora_weights'"));
  EXPECT_THAT(config_error("init_lora_weights", "olora"), HasSubstr("change the base model"));
  EXPECT_THAT(config_error("something_new", {{"a", 1}}), HasSubstr("'something_new'"));
}

TEST_F(AdapterTest, WrongConfigurationsAreOneLine) {
  EXPECT_THAT(config_error("r", 0), HasSubstr("'r' is 0"));
  EXPECT_THAT(config_error("r", "two"), HasSubstr("'r': expected a number"));
  EXPECT_THAT(config_error("r", nullptr), HasSubstr("'r' is missing"));
  EXPECT_THAT(config_error("r", 3), HasSubstr("rank 2, adapter_config.json says 3"));
  EXPECT_THAT(config_error("lora_alpha", -1), HasSubstr("'lora_alpha' is -1"));
  EXPECT_THAT(config_error("use_rslora", 1), HasSubstr("true or false"));
  EXPECT_THAT(config_error("rank_pattern", {1}), HasSubstr("expected an object"));
  EXPECT_THAT(config_error("rank_pattern", {{"q_proj", "x"}}), HasSubstr("above 0"));
  EXPECT_THAT(config_error("alpha_pattern", {{"(q_proj", 3}}), HasSubstr("(q_proj"));
  // One that would take for ever ends soon, whatever comes of it.
  config_error("alpha_pattern", {{"((((((((.*)*)*)*)*)*)*)*)*x", 3}});
  EXPECT_THAT(error([](Peft& peft) { peft.config = json::array(); }), HasSubstr("no JSON object"));
}

TEST_F(AdapterTest, TensorsThatDoNotFitAreNamed) {
  const auto renamed = [&](const std::string& down, const std::string& up) {
    return error([&](Peft& peft) { peft.tensors[0].name = down, peft.tensors[1].name = up; });
  };
  const auto module = [&](const std::string& name) {
    return renamed("base_model.model." + name + ".lora_A.weight",
                   "base_model.model." + name + ".lora_B.weight");
  };
  EXPECT_THAT(module("model.layers.0.self_attn.nothing"), HasSubstr("has no place in llama"));
  EXPECT_THAT(module("model.layers.99.self_attn.q_proj"), HasSubstr("the model does not have"));
  EXPECT_THAT(module("model.layers.-1.self_attn.q_proj"), HasSubstr("has no place"));
  EXPECT_THAT(module("model.embed_tokens"), HasSubstr("something else than a matrix"));
  EXPECT_THAT(module("model.layers.0.input_layernorm"), HasSubstr("something else than a matrix"));
  EXPECT_THAT(module("model.layers.0.mlp.down_proj"), HasSubstr("they must be"));
  EXPECT_THAT(
      renamed("base_model.model.model.embed_tokens.lora_embedding_A", kQuery + ".lora_B.weight"),
      HasSubstr("embeddings are not supported"));
  EXPECT_THAT(renamed(kQuery + ".lora_magnitude_vector", kQuery + ".lora_B.weight"),
              HasSubstr("DoRA"));
  EXPECT_THAT(renamed(kQuery + ".weight", kQuery + ".lora_B.weight"),
              HasSubstr("no low-rank matrix"));
  EXPECT_THAT(renamed(kQuery + ".lora_A.weight", kQuery + ".lora_B.bias"), HasSubstr("biases"));
  EXPECT_THAT(renamed("x" + kQuery + ".lora_A.weight", kQuery + ".lora_B.weight"),
              HasSubstr("no low-rank matrix"));
  EXPECT_THAT(renamed(kQuery + ".lora_A.weight", kQuery + ".lora_A.default.weight"),
              HasSubstr("under another name"));
  EXPECT_THAT(error([](Peft& peft) { peft.tensors.pop_back(); }), HasSubstr("no lora_B"));
  EXPECT_THAT(error([](Peft& peft) { peft.tensors.clear(); }), HasSubstr("no low-rank matrices"));

  const auto shapes = [&](std::vector<uint64_t> down, std::vector<uint64_t> up) {
    const auto size = [](const std::vector<uint64_t>& shape) {
      uint64_t count = 1;
      for (const uint64_t axis : shape) count *= axis;
      return count;
    };
    return error([&](Peft& peft) {
      peft.tensors = {float_tensor(kQuery + ".lora_A.weight", down, std::vector<float>(size(down))),
                      float_tensor(kQuery + ".lora_B.weight", up, std::vector<float>(size(up)))};
    });
  };
  for (const auto& [down, up] :
       std::vector<std::pair<std::vector<uint64_t>, std::vector<uint64_t>>>{
           {{2, 32}, {64, 2}},
           {{2, 64}, {32, 2}},
           {{2, 64}, {64, 3}},
           {{2, 64}, {2, 64}},
           {{64, 2}, {64, 2}},
           {{2, 64}, {128}},
           {{2, 64}, {16, 4, 2}},
           {{1, 2, 64}, {64, 2, 1}}}) {
    EXPECT_THAT(shapes(down, up),
                AllOf(testing::AnyOf(HasSubstr("they must be"), HasSubstr("are not 4 heads"),
                                     HasSubstr("matrices of rank")),
                      Not(HasSubstr("\n"))))
        << down.size() << " " << up.size();
  }
  EXPECT_THAT(error([](Peft& peft) { peft.tensors[0].dtype = "I32"; }), HasSubstr("format I32"));
}

// As PEFT saves it beside an adapter of lm_head.
TEST_F(AdapterTest, ACopyOfTheModelsMatrixIsOne) {
  const StoredTensor& output = model_->require({TensorRole::kOutput});
  std::vector<float> values(output.elements());
  output.decode(0, output.rows(), values);
  const auto error_with = [&](const std::string& module, std::vector<uint64_t> shape,
                              const std::vector<float>& copy) {
    return error([&](Peft& peft) {
      peft.tensors.push_back(
          float_tensor("base_model.model." + module + ".base_layer.weight", shape, copy));
    });
  };
  const std::vector<uint64_t> shape = {output.rows(), output.columns()};
  EXPECT_EQ(error_with("lm_head", shape, values), "(no error)");
  EXPECT_THAT(error_with("nothing", shape, values), HasSubstr("does not have"));
  EXPECT_THAT(error_with("lm_head", {output.columns(), output.rows()}, values),
              HasSubstr("the model's 'output.weight' is"));
  for (float& value : values) value *= 1.5f;
  EXPECT_THAT(error_with("lm_head", shape, values), HasSubstr("another matrix than the model's"));
  std::ranges::fill(values, NAN);
  EXPECT_THAT(error_with("lm_head", shape, values), HasSubstr("another matrix than the model's"));
}

TEST_F(AdapterTest, FilesThatAreNoneAreNamed) {
  EXPECT_THAT(error(folder_ / "nothing"), HasSubstr("is missing"));
  EXPECT_THAT(error(folder_.path()), HasSubstr("without adapter_config.json"));
  EXPECT_THAT(error(model_->paths()[0]), HasSubstr("'general.type' is 'model'"));
  EXPECT_THAT(error(folder_.write("x.gguf", "nonsense")), HasSubstr("x.gguf"));
  EXPECT_THAT(error(folder_.write("x.bin", "nonsense")), HasSubstr("never opened"));
  EXPECT_THAT(error(folder_.write("x.safetensors", "nonsense")),
              HasSubstr("adapter_config.json' is missing"));
  const auto folder = write({});
  std::filesystem::resize_file(folder / "adapter_model.safetensors", 100);
  EXPECT_THAT(error(folder), HasSubstr("adapter_model.safetensors"));
  std::filesystem::rename(folder / "adapter_model.safetensors", folder / "adapter_model.bin");
  EXPECT_THAT(error(folder), HasSubstr("PyTorch pickle"));
  std::filesystem::remove(folder / "adapter_model.bin");
  EXPECT_THAT(error(folder), HasSubstr("adapter_model.safetensors' is missing"));
}

TEST_F(AdapterTest, WhatLlamaCppWrites) {
  const auto nothing = [](GgufMetadata&) {};
  const StoredAdapter adapter = open(write_gguf(nothing));
  ASSERT_EQ(adapter.matrices.size(), 1U);
  EXPECT_EQ(adapter.matrices[0].scale, 4.0f);
  EXPECT_EQ(adapter.name, "adapter0");
  EXPECT_EQ(
      open(write_gguf([](GgufMetadata& m) { m.erase("adapter.lora.alpha"); })).matrices[0].scale,
      1.0f);

  const auto changed = [&](const char* key, const char* value) {
    return error(write_gguf([&](GgufMetadata& m) { m.set(key, {std::string(value)}); }));
  };
  EXPECT_THAT(changed("general.type", "model"), HasSubstr("'general.type'"));
  EXPECT_THAT(changed("adapter.type", "control"), HasSubstr("'adapter.type'"));
  EXPECT_THAT(changed("general.architecture", "qwen2"), HasSubstr("for 'qwen2' models"));
  EXPECT_THAT(changed("adapter.lora.alpha", "8"), HasSubstr("'adapter.lora.alpha'"));
  EXPECT_THAT(changed("adapter.alora.invocation_tokens", "x"), HasSubstr("activated LoRA"));
  EXPECT_THAT(error(write_gguf([](GgufMetadata& m) { m.erase("adapter.type"); })),
              HasSubstr("'adapter.type'"));
  EXPECT_THAT(error(write_gguf([](GgufMetadata& m) { m.set("adapter.lora.alpha", {NAN}); })),
              HasSubstr("no number"));

  const auto named = [&](const std::string& down, const std::string& up) {
    return error(write_gguf(nothing, down, up));
  };
  EXPECT_THAT(named("blk.0.attn_q.weight", "blk.0.attn_q.weight.lora_b"),
              HasSubstr("no low-rank matrix"));
  EXPECT_THAT(named("blk.0.attn_q.weight.lora_a", "blk.1.attn_q.weight.lora_b"),
              HasSubstr("is missing"));
  EXPECT_THAT(named("blk.0.x.weight.lora_a", "blk.0.x.weight.lora_b"), HasSubstr("has no place"));
  EXPECT_THAT(named("blk.9.attn_q.weight.lora_a", "blk.9.attn_q.weight.lora_b"),
              HasSubstr("the model does not have"));
  EXPECT_THAT(named("token_embd.weight.lora_a", "token_embd.weight.lora_b"),
              HasSubstr("something else than a matrix"));
  EXPECT_THAT(error(write_gguf(nothing, "blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b",
                               {2, 64}, {64, 2})),
              HasSubstr("they must be"));
}

// Whatever is cut off or changed in a file, it opens or is refused in one line.
TEST_F(AdapterTest, DamagedFilesAreRefused) {
  const auto folder = write({});
  const auto safetensors = test::read_bytes(folder / "adapter_model.safetensors");
  const auto config = test::read_bytes(folder / "adapter_config.json");
  const auto gguf = test::read_bytes(write_gguf([](GgufMetadata&) {}));
  const auto expect_one_line = [&](const std::filesystem::path& path) {
    const std::string message = error(path);
    EXPECT_THAT(message, AllOf(Not(HasSubstr("\n")), Not(testing::IsEmpty())));
  };
  for (size_t size = 0; size < 600; size += 7) {
    std::ofstream(folder / "adapter_model.safetensors", std::ios::binary)
        << safetensors.substr(0, size);
    expect_one_line(folder);
    expect_one_line(folder_.write("cut.gguf", gguf.substr(0, size)));
  }
  for (size_t at = 0; at < 400; ++at) {
    for (const char byte : {'\0', '\xff', '9'}) {
      std::string changed = safetensors;
      changed[at] = byte;
      std::ofstream(folder / "adapter_model.safetensors", std::ios::binary) << changed;
      expect_one_line(folder);
      changed = gguf;
      changed[at] = byte;
      expect_one_line(folder_.write("changed.gguf", changed));
    }
  }
  std::ofstream(folder / "adapter_model.safetensors", std::ios::binary) << safetensors;
  for (size_t at = 0; at < config.size(); ++at) {
    std::string changed = config;
    changed[at] = '9';
    std::ofstream(folder / "adapter_config.json") << changed;
    expect_one_line(folder);
  }
}

}  // namespace
}  // namespace tessera
