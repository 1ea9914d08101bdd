// Rounding to integers, named as the field names it: absmax (symmetric) or zero-point (asymmetric),
// a scale for a tensor, for each row of it, or for each group of a row's columns.
//
//   absmax      x ~ s q,        s = max |x| / (2^(bits - 1) - 1),    q = -(2^(bits - 1) - 1) ...
//   zero-point  x ~ s (q - z),  s = (max x - min x) / (2^bits - 1),  q = 0 .. 2^bits - 1, z integer
#pragma once

#include <algorithm>
#include <span>
#include <string_view>

namespace tessera {

// Of some values, zero among them.
struct ValueRange {
  float low = 0, high = 0;

  void include(std::span<const float> values) {
    for (const float x : values) low = std::min(low, x), high = std::max(high, x);
  }
};

struct Rounding {
  enum class Scheme { kAbsmax, kZeroPoint };
  enum class Per { kTensor, kRow, kGroup };

  int bits = 8;  // 2 .. 8
  Scheme scheme = Scheme::kAbsmax;
  Per per = Per::kRow;
  int group = 0;  // columns

  // Each value becomes the nearest that the integers can stand for, by the scale of that range.
  void round(std::span<float> values, ValueRange range) const;
  // A row whose scales are its own: for each of its groups, or one.
  void round_row(std::span<float> row) const;
};

// "int8-absmax-row", "int8-zeropoint-tensor", "int4-absmax-group128". Error that says so for
// anything else.
Rounding parse_rounding(std::string_view text);

}  // namespace tessera
