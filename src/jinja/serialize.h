// Values as text: what {{ }} prints, Python's repr() and json.dumps().
#pragma once

#include <string>

#include "jinja/value.h"

namespace tessera::jinja {

// As Python's str(): "True", "None", "1.0", "['a', 1]"; a string is itself, Undefined is "".
std::string to_text(const Value& value, Budget& budget);
// As repr(): like str(), but a string is quoted.
enum class KeyOrder { kInsertion, kSorted };  // of dictionaries
std::string repr(const Value& value, Budget& budget, KeyOrder order = KeyOrder::kInsertion);
std::string repr(std::string_view text);
std::string repr(double value);

// By key, where keys have an order; else by the names of their types.
std::vector<Dict::Entry> sorted_entries(const Dict& dict, Budget& budget);

// As transformers' `tojson` filter, which is json.dumps() without HTML escaping.
struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  // the text of one level
  std::optional<std::string> item_separator, key_separator;
};
std::string to_json(const Value& value, const JsonStyle& style, Budget& budget);

}  // namespace tessera::jinja
