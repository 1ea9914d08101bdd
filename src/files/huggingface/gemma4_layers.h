// Families whose config.json says by the layers' kind, with a window or without one, what others
// say of all layers alike (Gemma 4): lengths and numbers of heads, rotations, what layers share.
// Source: configuration_gemma4.py and modeling_gemma4.py of Hugging Face's transformers.
#pragma once

#include <string>
#include <vector>

#include "files/gguf/metadata.h"
#include "files/huggingface/config_reader.h"

namespace tessera::huggingface {

struct Gemma4Layers {
  struct Fact {
    std::string fact, key;  // how config.json spells it
    GgufValue value;
  };
  std::vector<Fact> facts;          // under GGUF's names
  std::vector<float> rope_factors;  // of layers without a window; see TensorRole::kRopeFactors
};

// Error for what is not supported or does not fit.
Gemma4Layers read_gemma4_layers(const ConfigReader& from);

}  // namespace tessera::huggingface
