#include "formats/float8.h"

#include <array>
#include <limits>

#include "base/half.h"
#include "formats/quantized_block.h"

namespace tessera {

const float* e4m3_values() {
  static const std::array<float, 256> values = [] {
    std::array<float, 256> all{};
    for (int code = 0; code < 128; ++code) {
      const float value = code == 127 ? std::numeric_limits<float>::quiet_NaN()
                                      : ue4m3_to_f32(static_cast<uint8_t>(code));
      all[static_cast<size_t>(code)] = value;
      all[static_cast<size_t>(code) + 128] = -value;
    }
    return all;
  }();
  return values.data();
}

const float* e5m2_values() {
  static const std::array<float, 256> values = [] {
    std::array<float, 256> all{};
    for (size_t code = 0; code < all.size(); ++code) {
      all[code] = f16_to_f32(static_cast<uint16_t>(code << 8));
    }
    return all;
  }();
  return values.data();
}

}  // namespace tessera
