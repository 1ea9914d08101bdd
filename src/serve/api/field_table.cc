#include "serve/api/field_table.h"

#include <algorithm>

#include "base/closest.h"
#include "base/printable.h"
#include "serve/http/api_error.h"

namespace tessera::serve {
namespace {

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const size_t blank = std::min(text.find(' '), text.size());
    if (blank > 0) words.emplace_back(text.substr(0, blank));
    text.remove_prefix(std::min(blank + 1, text.size()));
  }
  return words;
}

[[noreturn]] void unsupported(std::string name, const std::string& message) {
  throw ApiError(400, "invalid_request_error", message, std::move(name), "unsupported_parameter");
}

void check_neutral(const FieldTable::Entry& entry, const std::string& path, const Json& value) {
  const Json neutral = Json::parse(entry.detail);
  if (std::ranges::find(neutral, value) != neutral.end()) return;
  std::string expected;
  for (const Json& one : neutral) {
    if (!expected.empty()) expected += " or ";
    expected += to_text(one);
  }
  unsupported(path, fmt::format("'{}' is {}: not supported, it may only be {}", path,
                                printable(to_text(value), 100), expected));
}

}  // namespace

FieldTable::FieldTable(std::initializer_list<std::span<const FieldGroup>> groups) {
  for (const auto& part : groups) {
    for (const FieldGroup& group : part) {
      for (std::string& name : words_of(group.names))
        entries_.push_back({.name = std::move(name), .use = group.use, .detail = group.detail});
    }
  }
}

void FieldTable::check(const Fields& fields) const {
  for (const auto& [name, value] : fields.members()) {
    if (value.is_null()) continue;
    const auto entry = std::ranges::find(entries_, name, &Entry::name);
    if (entry == entries_.end()) refuse_unknown(fields, name);
    const std::string path = fields.path(name);
    if (entry->use == FieldUse::kNeutral) check_neutral(*entry, path, value);
    if (entry->use == FieldUse::kRefused) {
      unsupported(path, fmt::format("'{}' is not supported{}{}", path,
                                    entry->detail.empty() ? "" : ": ", entry->detail));
    }
  }
}

void FieldTable::refuse_unknown(const Fields& fields, std::string_view name) const {
  std::vector<std::string> known;
  for (const Entry& entry : entries_) {
    if (entry.use == FieldUse::kHonoured) known.push_back(entry.name);
  }
  const std::string path = printable(fields.path(name), 100);
  constexpr size_t kShortestToGuess = 3;  // one letter is close to any other
  const std::string_view meant =
      name.size() < kShortestToGuess ? std::string_view() : closest(name, known);
  throw ApiError(400, "invalid_request_error",
                 meant.empty()
                     ? fmt::format("there is no field '{}' here", path)
                     : fmt::format("there is no field '{}' here: did you mean '{}'?", path, meant),
                 path, "unknown_parameter");
}

}  // namespace tessera::serve
