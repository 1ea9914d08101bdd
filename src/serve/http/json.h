// JSON from strangers.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace tessera::serve {

using Json = nlohmann::ordered_json;

// Parses an object; an escape that is half a pair of surrogates stands for U+FFFD. Throws ApiError
// for what is no JSON, nested too deeply, of too many values or not an object.
Json parse_object(std::string_view text);
inline constexpr int kMaxJsonDepth = 64;
inline constexpr int kMaxJsonValues = 500'000;
// Of one object: an ordered one compares each new name with all before it.
inline constexpr int kMaxJsonMembers = 2'000;

// In one line; bytes that are no UTF-8 become U+FFFD.
std::string to_text(const Json& json);

}  // namespace tessera::serve
