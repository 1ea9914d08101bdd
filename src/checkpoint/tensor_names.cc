#include "checkpoint/tensor_names.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace tessera {
std::optional<std::vector<int>> match_stars(std::string_view pattern, std::string_view text) {
  std::vector<int> numbers;
  for (;;) {
    const size_t star = std::min(pattern.find('*'), pattern.size());
    if (!text.starts_with(pattern.substr(0, star))) return std::nullopt;
    text.remove_prefix(star);
    pattern.remove_prefix(star);
    if (pattern.empty()) break;
    int number = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || number < 0) return std::nullopt;
    numbers.push_back(number);
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    pattern.remove_prefix(1);
  }
  return text.empty() ? std::optional(std::move(numbers)) : std::nullopt;
}

std::string TensorNames::name_of(TensorPlace place) const {
  const auto row = std::ranges::find(rows_, place.role, &Row::role);
  if (row == rows_.end()) return {};
  std::string name(row->name);
  if (const size_t star = name.find('*'); star != std::string::npos) {
    name.replace(star, 1, std::to_string(place.layer));
  }
  return name;
}

TensorPlace TensorNames::place_of(std::string_view name) const {
  for (const Row& row : rows_) {
    if (const auto numbers = match_stars(row.name, name))
      return {row.role, numbers->empty() ? kNoLayer : numbers->front()};
  }
  return {};
}

}  // namespace tessera
