#include "text/literal_contents.h"

#include <fmt/format.h>

#include <cstdint>
#include <unordered_set>
#include <utility>

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kDigits = 16;

// The first number whose sixteen digits do not occur in `text`, between underscores: what no case
// mapping, quoting, escaping or trimming changes.
std::string unused_word(std::string_view text) {
  std::unordered_set<uint64_t> used;
  uint64_t value = 0, modulus = 1;
  for (size_t i = 0; i < kDigits; ++i) modulus *= 10;
  size_t run = 0;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    run = digit ? run + 1 : 0;
    value = digit ? (value * 10 + static_cast<uint64_t>(c - '0')) % modulus : 0;
    // A text of n characters cannot hold all numbers up to n.
    if (run >= kDigits && value <= text.size()) used.insert(value);
  }
  uint64_t unused = 1;
  while (used.contains(unused)) ++unused;
  return fmt::format("_{:0{}}_", unused, kDigits);
}

}  // namespace

LiteralContents::LiteralContents(Json& variables, const SpecialSpellings& spellings)
    : spellings_(spellings),
      mark_(unused_word(variables.dump(-1, ' ', false, Json::error_handler_t::replace))) {
  if (Json& messages = variables["messages"]; messages.is_array()) {
    for (Json& message : messages) {
      if (!message.is_object()) continue;
      for (auto& [name, value] : message.items()) {
        if (name != "role") mark(value, true);
      }
    }
  }
  // Declarations hold words that templates compare ("string"), so only whole spellings count.
  mark(variables["tools"], false);
  mark(variables["documents"], false);
}

bool LiteralContents::mark(std::string& text, bool edges) const {
  const auto places = spellings_.places(text, edges);
  if (places.empty()) return false;
  std::string marked;
  size_t done = 0;
  for (const size_t place : places) {
    marked.append(text, done, place - done).append(mark_);
    done = place;
  }
  text = marked.append(text, done);
  return true;
}

void LiteralContents::mark(Json& value, bool edges) {
  if (value.is_string()) {
    mark(value.get_ref<std::string&>(), edges);
  } else if (value.is_array()) {
    for (Json& item : value) mark(item, edges);
  } else if (value.is_object()) {
    Json marked = Json::object();
    for (auto& [name, member] : value.items()) {
      // The kind of a part or of a call is not a text.
      mark(member, edges && name != "type");
      std::string key = name;
      mark(key, false);
      marked.push_back({std::move(key), std::move(member)});
    }
    value = std::move(marked);
  }
}

std::vector<size_t> LiteralContents::unmark(std::string& text) const {
  std::vector<size_t> places;
  std::string clean;
  size_t done = 0;
  for (size_t mark = text.find(mark_); mark != std::string::npos; mark = text.find(mark_, done)) {
    clean.append(text, done, mark - done);
    if (places.empty() || places.back() != clean.size()) places.push_back(clean.size());
    done = mark + mark_.size();
  }
  text = clean.append(text, done);
  return places;
}

}  // namespace tessera
