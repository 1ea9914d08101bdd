// The tensors of tiny models, with random values that are the same everywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/format.h"
#include "support/tiny_model.h"

namespace tessera::tiny {

uint64_t hash_text(std::string_view text, uint64_t hash = 0xcbf29ce484222325u);  // FNV-1a

// What a tensor's values are like.
enum class Role {
  kMatrix,      // normal, scaled by gain / sqrt(columns): keeps the size of what it multiplies
  kEmbedding,   // normal, scaled by gain
  kNorm,        // around gain
  kOutputNorm,  // around +-1. Random signs keep tied embeddings from just repeating the last token.
  kBias,        // normal, scaled by gain
  kGiven,       // `values`
};

struct PlannedTensor {
  std::string name;
  const Format* format;
  std::vector<uint64_t> shape;
  Role role;
  float gain = 1.0f;
  std::vector<float> values = {};

  uint64_t elements() const {
    uint64_t count = 1;
    for (const uint64_t axis : shape) count *= axis;
    return count;
  }

  std::vector<std::byte> make_bytes(uint64_t seed) const;
  // As above from few pieces, each used many times.
  std::vector<std::byte> make_repeated_bytes(uint64_t seed) const;

 private:
  std::vector<float> make_values(uint64_t seed, uint64_t count) const;
};

// Those of a spec whose defaults are filled in.
std::vector<PlannedTensor> plan_tensors(const TinyModelSpec& spec);

}  // namespace tessera::tiny
