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

}  // namespace tessera
