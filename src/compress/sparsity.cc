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

}  // namespace

void Sparsity::choose(std::span<const float> scores, std::vector<bool>& zero) const {
  zero.assign(scores.size(), false);
  const size_t size = group > 0 ? static_cast<size_t>(group) : scores.size();
  for (size_t first = 0; first < scores.size(); first += size) {
    choose_lowest(scores.subspan(first, std::min(size, scores.size() - first)), share, first, zero);
  }
}

Sparsity parse_sparsity(std::string_view text) {
  const auto number = [&](std::string_view part) {
    double value = -1;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    const bool whole = error == std::errc() && end == part.data() + part.size();
    return whole && std::isfinite(value) ? value : -1;
  };
  Sparsity sparsity;
  const size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    const double zeros = number(text.substr(0, colon)), of = number(text.substr(colon + 1));
    const bool whole = zeros == std::floor(zeros) && of == std::floor(of);
    if (whole && zeros >= 0 && of >= 2 && of <= 64 && zeros < of)
      return {.share = zeros / of, .group = static_cast<int>(of)};
  } else {
    sparsity.share =
        text.ends_with('%') ? number(text.substr(0, text.size() - 1)) / 100 : number(text);
    if (sparsity.share >= 0 && sparsity.share < 1) return sparsity;
  }
  fail("sparsity is '{}', expected a share like 50% or 0.5, or zeros of neighbours like 2:4",
       printable(text));
}

}  // namespace tessera
