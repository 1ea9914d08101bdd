// The matrix that takes a latent to each head's keys and values (multi-head latent attention), as
// current GGUF files have it: in two, the first of which takes queries to the latent instead.
#pragma once

#include <cstdint>

#include "checkpoint/stored_tensor.h"

namespace tessera {

struct LatentParts {
  StoredTensor keys;    // [heads, latent, key]: TensorRole::kKeyUp
  StoredTensor values;  // [heads, value, latent]: TensorRole::kValueUp
};

// `joined`: [heads * (key + value), latent], of each head its keys' rows, then its values'. Keys
// lie the other way round in the result, so those of block formats become F32, which is exact.
// Names are left to the caller. Error unless the heads divide the rows and leave some for values.
LatentParts split_latent(const StoredTensor& joined, uint64_t heads, uint64_t key);

}  // namespace tessera
