#include "compress/sparsity.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/printable.h"

namespace tessera {
namespace {

void choose_lowest(std::span<const float> scores, double share, size_t first,
                   std::vector<bool>& zero) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto count =
      static_cast<ptrdiff_t>(std::floor(share * static_cast<double>(scores.size()) + 1e-9));
  // Equal scores go by their place, so that any sort gives the same.
  std::ranges::nth_element(order, order.begin() + count, {},
                           [&](size_t i) { return std::pair(scores[i], i); });
  for (ptrdiff_t i = 0; i < count; ++i) zero[first + order[static_cast<size_t>(i)]] = true;
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

}  // namespace

void Sparsity::choose(std::span<const float> scores, std::vector<bool>& zero) const {
  zero.assign(scores.size(), false);
  if (threshold) {
    for (size_t i = 0; i < scores.size(); ++i) zero[i] = scores[i] <= *threshold;
    return;
  }
  const size_t size = group > 0 ? static_cast<size_t>(group) : scores.size();
  for (size_t first = 0; first < scores.size(); first += size) {
    choose_lowest(scores.subspan(first, std::min(size, scores.size() - first)), share, first, zero);
  }
}

void require_zero(const Format& format) {
  if (format.quantized == nullptr) return;  // floats
  const QuantizedBlock& block = *format.quantized;
  const size_t count = size_t{1} << block.code_bits;
  const bool is_level =
      block.levels != nullptr   ? std::ranges::count(std::span(block.levels, count), 0) > 0
      : block.values != nullptr ? std::ranges::count(std::span(block.values, count), 0.0f) > 0
                                : true;
  if (is_level && !block.has_min) return;
  fail("{} has no code for zero, so what is pruned would not stay it; F16, Q8_0 and Q4_0 have one",
       format.name);
}

std::optional<double> parse_share(std::string_view text) {
  const bool percent = text.ends_with('%');
  const auto value = parse_number(percent ? text.substr(0, text.size() - 1) : text);
  const double share = value.value_or(-1) / (percent ? 100 : 1);
  return share >= 0 && share < 1 ? std::optional(share) : std::nullopt;
}

SparsityScope parse_sparsity_scope(std::string_view text) {
  if (text == "row") return SparsityScope::kRow;
  if (text == "layer") return SparsityScope::kLayer;
  if (text == "global") return SparsityScope::kGlobal;
  fail("unknown scope '{}'; known are row, layer, global", printable(text));
}

Sparsity parse_sparsity(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    const double zeros = parse_number(text.substr(0, colon)).value_or(-1),
                 of = parse_number(text.substr(colon + 1)).value_or(-1);
    const bool whole = zeros == std::floor(zeros) && of == std::floor(of);
    if (whole && zeros >= 0 && of >= 2 && of <= 64 && zeros < of)
      return {.share = zeros / of, .group = static_cast<int>(of)};
  } else if (const auto share = parse_share(text)) {
    return {.share = *share};
  }
  fail("sparsity is '{}', expected a share like 50% or 0.5, or zeros of neighbours like 2:4",
       printable(text));
}

}  // namespace tessera
