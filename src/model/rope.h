// The frequencies of a model's rotary position embedding, with what stretches it to longer
// contexts.
#pragma once

#include <string_view>

#include "checkpoint/checkpoint.h"
#include "model/config.h"

namespace tessera {

// frequency[i] = base^(-2i / dimensions)  (Su et al. 2021).
Rope plain_rope(int dimensions, bool interleaved, float base);

// Where the checkpoint is silent.
inline constexpr double kRopeBase = 10000;

// The fact `name`: how many values of heads of that length are rotated; all where it is silent.
// Throws Error if that does not fit.
int rope_dimensions(const Facts& facts, std::string_view name, int head_dim);

// The fact `name`, a base above 1. Throws Error for anything else.
float read_rope_base(const Facts& facts, std::string_view name, double fallback);

// What the checkpoint asks for, for heads of that length: none; linear (Chen et al. 2023); YaRN
// (Peng et al. 2023); factors of each frequency, as Llama 3 ships as a tensor; LongRoPE (Ding et
// al. 2024), whose long factors apply when config.context exceeds the original one. Throws Error
// for anything else.
Rope read_rope(const Checkpoint& checkpoint, const Config& config, int head_dim);

}  // namespace tessera
