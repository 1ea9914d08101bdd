// What config.json says of a model, under the names of checkpoint/facts.h.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "files/gguf/facts.h"
#include "files/gguf/metadata.h"
#include "files/huggingface/families.h"
#include "files/huggingface/recurrent_layers.h"
#include "files/huggingface/row_scales.h"

namespace tessera::huggingface {

class FolderFacts final : public GgufFacts {
 public:
  // `keys`: how config.json spells a fact, where it is not the same.
  FolderFacts(GgufMetadata metadata, std::map<std::string, std::string, std::less<>> keys)
      : GgufFacts(std::move(metadata)), keys_(std::move(keys)) {}

  std::string key_of(std::string_view name) const override {
    const auto key = keys_.find(name);
    return key == keys_.end() ? std::string(name) : key->second;
  }

 private:
  std::map<std::string, std::string, std::less<>> keys_;
};

struct ModelConfig {
  const Family* family = nullptr;
  GgufMetadata metadata;
  std::map<std::string, std::string, std::less<>> keys;
  int64_t layers = 0, heads = 0, kv_heads = 0;  // 0: not said
  int64_t latent_key = 0;  // of latent attention: a head's keys that are not rotated
  RecurrentShape recurrent;
  RowScales row_scales;         // by which weights are multiplied; see row_scales.h
  std::optional<bool> tied;     // is the token embedding the output, too?
  std::optional<bool> qk_norm;  // are queries and keys normalized, where the family leaves it open?
  // What each rotary frequency is divided by; empty: by nothing. See TensorRole::kRopeFactors.
  std::vector<float> rope_factors, rope_factors_long, rope_factors_short;
};

// The configuration of the text model: `config` itself or, of models that see or hear, the part of
// it that says so.
nlohmann::json text_part(const nlohmann::json& config);

// `config`: text_part of config.json. `name`: of the model, for people. Error for a family that is
// not known, and for whatever would change the answers and is not understood.
ModelConfig read_config(const nlohmann::json& config, std::string_view name);

// Of a folder that holds so many layers behind the model's own that predict further tokens.
void add_next_token_layers(ModelConfig& config, int count);

// The sampling that generation_config.json asks for, as the facts "general.sampling.*":
// temp, top_k, top_p, min_p, penalty_repeat.
void read_generation_config(const nlohmann::json& config, GgufMetadata& metadata);

}  // namespace tessera::huggingface
