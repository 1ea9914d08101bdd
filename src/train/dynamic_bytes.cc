#include "train/dynamic_bytes.h"

#include <algorithm>
#include <cmath>

#include "formats/dynamic_map.h"

namespace tessera::train {
namespace {

const FloatCodebook& book_of(DynamicBytes::Signs signs) {
  static const FloatCodebook both(signed_dynamic_map().data(), 8);
  static const FloatCodebook positive(unsigned_dynamic_map().data(), 8);
  return signs == DynamicBytes::Signs::kBoth ? both : positive;
}

}  // namespace

DynamicBytes::DynamicBytes(size_t count, Signs signs)
    : signs_(signs),
      map_(signs == Signs::kBoth ? &signed_dynamic_map() : &unsigned_dynamic_map()),
      book_(&book_of(signs)),
      codes_(count),
      largest_((count + kBlock - 1) / kBlock) {}

void DynamicBytes::read(size_t first, std::span<float> values) const {
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = largest_[(first + i) / kBlock] * (*map_)[codes_[first + i]];
}

void DynamicBytes::write(size_t first, std::span<const float> values) {
  for (size_t begin = 0; begin < values.size(); begin += kBlock) {
    const auto block = values.subspan(begin, std::min(kBlock, values.size() - begin));
    float largest = 0;
    for (const float value : block) largest = std::max(largest, std::fabs(value));
    largest_[(first + begin) / kBlock] = largest;
    for (size_t i = 0; i < block.size(); ++i) {
      uint8_t code = book_->nearest(largest > 0 ? block[i] / largest : 0);
      if (signs_ == Signs::kPositive && block[i] > 0) code = std::max<uint8_t>(code, 1);
      codes_[first + begin + i] = code;
    }
  }
}

}  // namespace tessera::train
