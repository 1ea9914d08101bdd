#include "text/charsmap.h"

#include "base/error.h"

namespace tessera {
namespace {

constexpr std::string_view kWhat = "tokenizer: precompiled_charsmap";

uint32_t read_u32(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

// The fields of a unit: what its children's places are xored with, the byte that leads to it,
// whether a key ends at it, and for the unit behind such an end the key's value.
uint32_t offset_of(uint32_t unit) {
  return (unit >> 10) << ((unit & (1u << 9)) >> 6);
}
uint32_t label_of(uint32_t unit) {
  return unit & (1u << 31 | 0xFF);
}
bool ends_key(uint32_t unit) {
  return (unit >> 8 & 1) != 0;
}
uint32_t value_of(uint32_t unit) {
  return unit & ~(1u << 31);
}

}  // namespace

Charsmap::Charsmap(std::string_view blob) {
  if (blob.size() < 4) fail("{}: {} bytes, at least 4 expected", kWhat, blob.size());
  const uint32_t trie_bytes = read_u32(blob);
  blob.remove_prefix(4);
  if (trie_bytes > blob.size() || trie_bytes % 4 != 0 || trie_bytes == 0) {
    fail("{}: a table of {} bytes does not fit into the {} that follow", kWhat, trie_bytes,
         blob.size());
  }
  for (size_t i = 0; i < trie_bytes; i += 4) units_.push_back(read_u32(blob.substr(i)));
  replacements_ = blob.substr(trie_bytes);
  if (!replacements_.empty() && replacements_.back() != '\0') {
    fail("{}: the last replacement does not end with a NUL", kWhat);
  }
}

// Units are not checked when loaded, for most are unreachable; a walk that leaves the table ends.
Charsmap::Replacement Charsmap::find(std::string_view text, bool shortest) const {
  Replacement longest = {0, {}};
  if (units_.empty()) return longest;
  size_t place = offset_of(units_[0]);
  for (size_t i = 0; i < text.size() && text[i] != '\0'; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    place ^= byte;
    if (place >= units_.size() || label_of(units_[place]) != byte) break;
    const uint32_t unit = units_[place];
    place ^= offset_of(unit);
    if (!ends_key(unit)) continue;
    const size_t offset = place < units_.size() ? value_of(units_[place]) : replacements_.size();
    if (offset >= replacements_.size()) break;
    longest = {i + 1, std::string_view(replacements_.c_str() + offset)};
    if (shortest) break;
  }
  return longest;
}

Charsmap::Replacement Charsmap::find(std::string_view text) const {
  return find(text, false);
}

Charsmap::Replacement Charsmap::find_shortest(std::string_view text) const {
  return find(text, true);
}

}  // namespace tessera
