#include "formats/float_codebook.h"

#include <algorithm>
#include <cmath>

namespace tessera {

FloatCodebook::FloatCodebook(const float* values, int bits) {
  for (int code = 0; code < 1 << bits; ++code)
    if (!std::isnan(values[code])) codes_.push_back(static_cast<uint8_t>(code));
  std::ranges::stable_sort(codes_, {}, [&](uint8_t code) { return values[code]; });
  const auto same = [&](uint8_t a, uint8_t b) { return values[a] == values[b]; };
  codes_.erase(std::unique(codes_.begin(), codes_.end(), same), codes_.end());
  for (size_t i = 1; i < codes_.size(); ++i)
    boundaries_.push_back(0.5f * (values[codes_[i - 1]] + values[codes_[i]]));
}

uint8_t FloatCodebook::nearest(float x) const {
  const auto above = std::ranges::lower_bound(boundaries_, x);
  const auto i = static_cast<size_t>(above - boundaries_.begin());
  const bool in_the_middle = above != boundaries_.end() && *above == x;
  return in_the_middle && codes_[i] % 2 != 0 ? codes_[i + 1] : codes_[i];
}

}  // namespace tessera
