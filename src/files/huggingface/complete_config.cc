#include "files/huggingface/complete_config.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "files/huggingface/config_reader.h"
#include "files/huggingface/layer_kinds.h"

namespace tessera::huggingface {
namespace {

using nlohmann::json;

// The family's own keys as others call them, and what it says where config.json is silent.
void complete(const Family& family, json& config) {
  if (const json* nested = ConfigReader(config).object("attn_config")) {
    const json more = *nested;
    for (const auto& [key, value] : more.items())
      if (!config.contains(key)) config[key] = value;
  }
  const json aliases = json::parse(family.aliases);
  for (const auto& [own, key] : aliases.items()) {
    if (ConfigReader(config).find(own) != nullptr) config[key.get<std::string>()] = config[own];
  }
  for (const std::string_view part : {family.more_defaults, family.defaults}) {
    const json defaults = json::parse(part);
    for (const auto& [key, value] : defaults.items())
      if (!config.contains(key)) config[key] = value;
  }
  const json expected = json::parse(family.expected);
  for (const auto& [key, value] : expected.items()) {
    if (config.contains(key) && config[key] != value && !config[key].is_null())
      fail("key '{}': {} is not supported in {} models, expected {}", key,
           printable(config[key].dump(-1, ' ', true), 60), family.model_type, value.dump());
  }
  const ConfigReader from(config);
  const auto embedding = from.integer("hidden_size");
  if (family.feed_forward_factor > 0 && embedding && !from.integer("intermediate_size"))
    config["intermediate_size"] = static_cast<uint64_t>(family.feed_forward_factor * *embedding);
  if (family.style != TensorStyle::kFalcon) return;
  // Falcon says it in two words.
  const bool by_heads = from.boolean("new_decoder_architecture").value_or(false);
  if (!by_heads && from.boolean("multi_query").value_or(true)) {
    config["num_key_value_heads"] = 1U;
  } else if (const auto keys = from.integer("num_kv_heads")) {
    config["num_key_value_heads"] = static_cast<uint64_t>(*keys);
  }
}

// Of model types that have models of several kinds.
FamilyKind kind_of(std::string_view type, const ConfigReader& config) {
  const json* directions = config.find("use_bidirectional_attention");
  FamilyKind kind{.bidirectional = directions != nullptr && *directions == true};
  if (type == "granitemoehybrid")
    kind.experts = config.integer("num_local_experts").value_or(0) > 0;
  if (type == "nemotron_h") {
    const std::vector<LayerKind> kinds = read_layer_kinds(config);
    kind.experts = std::ranges::find(kinds, LayerKind::kExperts) != kinds.end();
  }
  return kind;
}

// The config.json of state-spaces/mamba's own Mamba-2 as transformers would say it. What it leaves
// out is as in mamba_ssm/modules/mamba2.py.
void read_state_spaces(json& config) {
  const ConfigReader from(config);
  const json* layer = from.has("model_type") ? nullptr : from.object("ssm_cfg");
  if (layer == nullptr || ConfigReader(*layer).text("layer") != "Mamba2") return;
  if (const json* attends = from.find("attn_layer_idx"); attends != nullptr && !attends->empty())
    fail("key 'attn_layer_idx': layers that attend are not supported in mamba2 models");
  if (from.integer("d_intermediate").value_or(0) != 0)
    fail("key 'd_intermediate': feed-forward layers are not supported in mamba2 models");
  const ConfigReader shape(*layer);
  const auto of_layer = [&](std::string_view key, uint64_t otherwise) {
    return static_cast<uint64_t>(shape.integer(key).value_or(static_cast<int64_t>(otherwise)));
  };
  const uint64_t width = static_cast<uint64_t>(from.integer("d_model").value_or(0)),
                 head = std::max<uint64_t>(1, of_layer("headdim", 64));
  json said = {{"model_type", "mamba2"},
               {"head_dim", head},
               {"num_heads", width * of_layer("expand", 2) / head},
               {"state_size", of_layer("d_state", 128)},
               {"n_groups", of_layer("ngroups", 1)},
               {"conv_kernel", of_layer("d_conv", 4)},
               {"tie_word_embeddings", from.boolean("tie_embeddings").value_or(true)}};
  for (const auto& [own, key] :
       {std::pair("d_model", "hidden_size"), std::pair("n_layer", "num_hidden_layers"),
        std::pair("rms_norm", "rms_norm")}) {
    if (from.find(own) != nullptr) said[key] = config[own];
  }
  config = std::move(said);
}

}  // namespace

const Family& complete_config(json& config) {
  read_state_spaces(config);
  const auto type = ConfigReader(config).text("model_type");
  if (!type) fail("key 'model_type' is missing (expected a text)");
  const Family& family = find_family(*type, kind_of(*type, ConfigReader(config)));
  complete(family, config);
  return family;
}

}  // namespace tessera::huggingface
