// What a model may save beside what its checkpoint holds.
#pragma once

#include <cstdint>

#include "formats/format.h"

namespace tessera {

// How a model may be cheaper than its checkpoint: a draft model, which only has to guess, or one
// whose user wants it smaller.
struct ModelShortcuts {
  // Of the first tokens of the vocabulary, which are the frequent ones; 0: of all.
  int logits = 0;
  // What matrices of more bits are stored in, by their columns. nullptr, as what it returns may be:
  // as they are.
  const Format* (*format)(uint64_t columns) = nullptr;
  float outlier_threshold = 0;  // of all matrices: see Matrix
};

// LLM.int8() (Dettmers et al. 2022): matrices of more bits in INT8 (formats/int8_groups.h),
// activations of this magnitude and more apart.
ModelShortcuts llm_int8(float outlier_threshold);

}  // namespace tessera
