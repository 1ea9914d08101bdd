// The frequencies of a model's rotary position embedding, with what stretches it to longer
// contexts.
#pragma once

#include "files/gguf.h"
#include "model/config.h"

namespace tessera {

// frequency[i] = base^(-2i / dimensions)  (Su et al. 2021).
Rope plain_rope(int dimensions, bool interleaved, float base);

// A base above 1. Throws Error for anything else.
float read_rope_base(const GgufMetadata& metadata, const std::string& key, double fallback);

// What the file asks for: none; linear (Chen et al. 2023); YaRN (Peng et al. 2023); factors of each
// frequency, as Llama 3 ships in rope_freqs.weight; LongRoPE (Ding et al. 2024), whose long factors
// apply when config.context exceeds the original one. Throws Error for anything else.
Rope read_rope(const GgufFile& file, const Config& config);

}  // namespace tessera
