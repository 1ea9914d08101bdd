// Nearest codes of a codebook of floats, in any order (QuantizedBlock::values).
#pragma once

#include <cstdint>
#include <vector>

namespace tessera {

class FloatCodebook {
 public:
  // 2^bits values; codes of NaN, and all but one of those that stand for the same, are never
  // chosen.
  FloatCodebook(const float* values, int bits);

  // Beyond the ends: the last. In the middle between two: the even code, as hardware rounds floats.
  uint8_t nearest(float x) const;

 private:
  std::vector<float> boundaries_;  // the middle of each two neighbours
  std::vector<uint8_t> codes_;     // by their values
};

}  // namespace tessera
