#include "train/dynamic_bytes.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "formats/dynamic_map.h"

namespace tessera::train {
// A table of the floats that begin with the same bits says where to begin to look: what is next to
// a value is a step or two from there.
class DynamicBytes::Nearest {
 public:
  explicit Nearest(const std::array<float, 256>& map) {
    for (size_t i = 0; i < boundaries_.size(); ++i) boundaries_[i] = 0.5f * (map[i] + map[i + 1]);
    for (uint32_t bits = 0; bits < begins_.size(); ++bits) {
      const bool is_negative = bits >= begins_.size() / 2;  // then the largest bits are least
      const uint32_t rest = is_negative ? (1u << kShift) - 1 : 0;
      const auto least = std::bit_cast<float>(bits << kShift | rest);
      const auto found = std::ranges::lower_bound(boundaries_, least);
      begins_[bits] = static_cast<uint8_t>(found - boundaries_.begin());
    }
  }

  uint8_t operator()(float x) const {
    size_t code = begins_[std::bit_cast<uint32_t>(x) >> kShift];
    while (code < boundaries_.size() && boundaries_[code] < x) ++code;
    return static_cast<uint8_t>(code);
  }

 private:
  static constexpr int kShift = 19;  // leaves the sign, the exponent and 4 bits
  std::array<float, 255> boundaries_;
  std::array<uint8_t, size_t{1} << (32 - kShift)> begins_;
};

const DynamicBytes::Nearest& DynamicBytes::nearest_of(Signs signs) {
  static const Nearest both(signed_dynamic_map()), positive(unsigned_dynamic_map());
  return signs == Signs::kBoth ? both : positive;
}

DynamicBytes::DynamicBytes(size_t count, Signs signs)
    : signs_(signs),
      map_(signs == Signs::kBoth ? signed_dynamic_map() : unsigned_dynamic_map()),
      nearest_(nearest_of(signs)),
      codes_(count),
      largest_((count + kBlock - 1) / kBlock) {}

void DynamicBytes::read(size_t first, std::span<float> values) const {
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = largest_[(first + i) / kBlock] * map_[codes_[first + i]];
}

void DynamicBytes::write(size_t first, std::span<const float> values) {
  for (size_t begin = 0; begin < values.size(); begin += kBlock) {
    const auto block = values.subspan(begin, std::min(kBlock, values.size() - begin));
    float largest = 0;
    for (const float value : block) largest = std::max(largest, std::fabs(value));
    largest_[(first + begin) / kBlock] = largest;
    for (size_t i = 0; i < block.size(); ++i) {
      uint8_t code = nearest_(largest > 0 ? block[i] / largest : 0);
      if (signs_ == Signs::kPositive && block[i] > 0) code = std::max<uint8_t>(code, 1);
      codes_[first + begin + i] = code;
    }
  }
}

}  // namespace tessera::train
