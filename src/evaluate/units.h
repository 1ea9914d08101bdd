// Numbers as people read them.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace tessera {

// Three digits and a decimal prefix: 0.00392 s -> "3.92 ms", 98.4e6 B -> "98.4 MB".
inline std::string with_unit(double value, std::string_view unit) {
  constexpr std::string_view kPrefixes[] = {"n", "u", "m", "", "k", "M", "G", "T"};
  size_t prefix = 3;
  if (value != 0) {
    while (value < 0.9995 && prefix > 0) value *= 1e3, --prefix;
    while (value >= 999.5 && prefix + 1 < std::size(kPrefixes)) value *= 1e-3, ++prefix;
  }
  const int decimals = value == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f} {}{}", value, decimals, kPrefixes[prefix], unit);
}

// 0.984 -> "98%".
inline std::string percent(double ratio) {
  return fmt::format("{:.0f}%", 100 * ratio);
}

}  // namespace tessera
