#include "checkpoint/tensor_names.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace tessera {
namespace {

// The number that stands in `text` where `pattern` has its "*"; kNoLayer if both are equal and
// there is none. nullopt if they do not fit.
std::optional<int> match(std::string_view pattern, std::string_view text) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos)
    return pattern == text ? std::optional(kNoLayer) : std::nullopt;
  const std::string_view before = pattern.substr(0, star), after = pattern.substr(star + 1);
  if (!text.starts_with(before) || !text.ends_with(after)) return std::nullopt;
  if (text.size() <= before.size() + after.size()) return std::nullopt;
  const char* first = text.data() + before.size();
  const char* last = text.data() + text.size() - after.size();
  int number = 0;
  const auto [stop, error] = std::from_chars(first, last, number);
  if (error != std::errc() || stop != last || number < 0) return std::nullopt;
  return number;
}

}  // namespace

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
    if (const auto layer = match(row.name, name)) return {row.role, *layer};
  }
  return {};
}

}  // namespace tessera
