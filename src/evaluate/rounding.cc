#include "evaluate/rounding.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/printable.h"

namespace tessera {

void Rounding::round(std::span<float> values, ValueRange range) const {
  const bool absmax = scheme == Scheme::kAbsmax;
  const double last = absmax ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
  const double low = range.low, high = range.high;
  const double scale = absmax ? std::max(-low, high) / last : (high - low) / last;
  if (!(scale > 0)) return;  // all zeros
  const double zero = absmax ? 0 : std::nearbyint(-low / scale), first = absmax ? -last : 0;
  for (float& x : values) {
    const double q = std::nearbyint(static_cast<double>(x) / scale) + zero;
    x = static_cast<float>(scale * (std::clamp(q, first, last) - zero));
  }
}

void Rounding::round_row(std::span<float> row) const {
  const size_t size = per == Per::kGroup ? static_cast<size_t>(group) : row.size();
  for (size_t first = 0; first < row.size(); first += size) {
    const auto part = row.subspan(first, std::min(size, row.size() - first));
    ValueRange range;
    range.include(part);
    round(part, range);
  }
}

namespace {

bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

std::optional<int> take_number(std::string_view& text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

std::optional<Rounding> parse(std::string_view text) {
  Rounding rounding;
  if (!take(text, "int")) return std::nullopt;
  const auto bits = take_number(text);
  if (!bits || *bits < 2 || *bits > 8) return std::nullopt;
  rounding.bits = *bits;
  if (take(text, "-zeropoint-")) {
    rounding.scheme = Rounding::Scheme::kZeroPoint;
  } else if (!take(text, "-absmax-")) {
    return std::nullopt;
  }
  if (take(text, "group")) {
    const auto group = take_number(text);
    if (!group || *group < 1) return std::nullopt;
    rounding.per = Rounding::Per::kGroup;
    rounding.group = *group;
  } else if (take(text, "tensor")) {
    rounding.per = Rounding::Per::kTensor;
  } else if (!take(text, "row")) {
    return std::nullopt;
  }
  return text.empty() ? std::optional(rounding) : std::nullopt;
}

}  // namespace

Rounding parse_rounding(std::string_view text) {
  if (const auto rounding = parse(text)) return *rounding;
  fail(
      "'{}' is no way to round: expected int2 to int8, absmax or zeropoint, and tensor, row or "
      "group and its columns, as in int8-absmax-row or int4-zeropoint-group128",
      printable(text));
}

}  // namespace tessera
