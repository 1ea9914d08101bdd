// One pass over a row of logits gives the largest of each block of 64; everything else a sampler
// asks of the row is then a look at few blocks. NaN counts as nothing.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "base/token.h"

namespace tessera {

inline constexpr size_t kLogitBlock = 64;

// maxima[b] = the largest of logits[64 b ... 64 b + 63]; -infinity if all are NaN.
void find_block_maxima(std::span<const float> logits, std::vector<float>& maxima);

float largest(std::span<const float> maxima);

// The lowest id among the largest; 0 if there is none above -infinity.
Token argmax(std::span<const float> logits, std::span<const float> maxima);

// Calls visit(logit, token) for each logit >= floor, in ascending order of tokens.
template <typename Visit>
void visit_at_least(std::span<const float> logits, std::span<const float> maxima, float floor,
                    Visit visit) {
  for (size_t block = 0; block < maxima.size(); ++block) {
    if (!(maxima[block] >= floor)) continue;
    const size_t first = block * kLogitBlock;
    const auto values = logits.subspan(first, std::min(kLogitBlock, logits.size() - first));
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i] >= floor) visit(values[i], static_cast<Token>(first + i));
    }
  }
}

}  // namespace tessera
