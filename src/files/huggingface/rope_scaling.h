// What rope_scaling and rope_parameters of config.json ask for, as GGUF says the same.
// Source: modeling_rope_utils.py of Hugging Face's transformers.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "files/gguf/metadata.h"
#include "files/huggingface/config_reader.h"

namespace tessera::huggingface {

struct RopeScaling {
  std::vector<std::pair<std::string_view, GgufValue>> facts;  // "rope.scaling.type", ...
  // What each rotary frequency is divided by; empty: by nothing.
  std::vector<float> factors;                      // Llama 3
  std::vector<float> long_factors, short_factors;  // LongRoPE
};

// What the scaling depends on besides.
struct RopeShape {
  uint32_t dimensions = 0;
  double base = 0;
  double context = 0;
  std::optional<double> original_context;  // where it stands beside the scaling, not in it
  bool is_latent = false;                  // of multi-head latent attention
  bool has_log_multiplier = false;         // GGUF's readers know mscale_all_dim of this family
};

// Error for a kind of scaling that is not known, or parameters out of range.
RopeScaling read_rope_scaling(const ConfigReader& rope, const RopeShape& shape);

}  // namespace tessera::huggingface
