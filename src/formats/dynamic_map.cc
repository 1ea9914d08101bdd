#include "formats/dynamic_map.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace tessera {
namespace {

std::array<float, 256> make_map(bool is_signed) {
  constexpr int kDecades = 7;
  std::array<float, 256> map{};
  size_t n = 0;
  for (int decade = 0; decade < kDecades; ++decade) {
    // The middles of as many steps from 0.1 to 1, ten to the decade: in the float operations of
    // torch.linspace, which goes from both ends, so that the last bits agree.
    const int steps = (is_signed ? 1 : 2) << decade;
    const float width = (1.0f - 0.1f) / static_cast<float>(steps);
    const auto edge = [&](int i) {
      return i < (steps + 1) / 2 ? std::fma(width, static_cast<float>(i), 0.1f)
                                 : std::fma(-width, static_cast<float>(steps - i), 1.0f);
    };
    const auto power = static_cast<float>(std::pow(10.0, decade - (kDecades - 1)));
    for (int i = 0; i < steps; ++i) {
      const float middle = (edge(i) + edge(i + 1)) / 2.0f;
      map[n++] = power * middle;
      if (is_signed) map[n++] = -power * middle;
    }
  }
  map[n++] = 0.0f;
  map[n++] = 1.0f;
  std::ranges::sort(map);
  return map;
}

}  // namespace

const std::array<float, 256>& signed_dynamic_map() {
  static const std::array<float, 256> map = make_map(true);
  return map;
}

const std::array<float, 256>& unsigned_dynamic_map() {
  static const std::array<float, 256> map = make_map(false);
  return map;
}

}  // namespace tessera
