#include "text/special_spellings.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace tessera {
namespace {

constexpr size_t kTellingCharacters = 4;
// Tokens are found at edges by all of their endings. No real one is that long.
constexpr size_t kLongestAtEdges = 256;

bool is_boundary(std::string_view text, size_t place) {
  return place >= text.size() || (static_cast<unsigned char>(text[place]) & 0xc0) != 0x80;
}

size_t next_character(std::string_view text, size_t place) {
  do ++place;
  while (!is_boundary(text, place));
  return place;
}

std::string_view first_characters(std::string_view text, size_t count) {
  size_t end = 0;
  while (count-- > 0 && end < text.size()) end = next_character(text, end);
  return text.substr(0, std::min(end, text.size()));
}

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// The second character of [begin, end), or its only one.
size_t telling_place(std::string_view text, size_t begin, size_t end) {
  const size_t second = next_character(text, begin);
  return second < end ? second : begin;
}

}  // namespace

SpecialSpellings::SpecialSpellings(std::vector<std::string> special_tokens)
    : tokens_(std::move(special_tokens)) {
  std::erase_if(tokens_, [](const std::string& token) { return token.empty(); });
  std::sort(tokens_.begin(), tokens_.end());
  for (const std::string& token : tokens_) {
    first_bytes_.set(static_cast<unsigned char>(token.front()));
    last_bytes_.set(static_cast<unsigned char>(token.back()));
    longest_ = std::max(longest_, token.size());
    if (token.size() > kLongestAtEdges) continue;
    for (size_t i = next_character(token, 0); i < token.size(); i = next_character(token, i)) {
      endings_.push_back(std::string_view(token).substr(i));
    }
  }
  std::sort(endings_.begin(), endings_.end());
}

bool SpecialSpellings::begins_token(std::string_view text) const {
  for (size_t count = 1; count <= kTellingCharacters; ++count) {
    const std::string_view start = first_characters(text, count);
    if (std::binary_search(tokens_.begin(), tokens_.end(), start)) return true;
    if (start.size() == text.size()) return false;
    if (count == kTellingCharacters) return is_beginning(start);
  }
  return false;
}

// Whether a token begins with all of `part`.
bool SpecialSpellings::is_beginning(std::string_view part) const {
  const auto found = std::lower_bound(tokens_.begin(), tokens_.end(), part);
  return found != tokens_.end() && found->starts_with(part);
}

bool SpecialSpellings::is_ending(std::string_view part) const {
  return std::binary_search(endings_.begin(), endings_.end(), part);
}

bool SpecialSpellings::is_inside(std::string_view part) const {
  const auto found = std::lower_bound(endings_.begin(), endings_.end(), part);
  return found != endings_.end() && found->starts_with(part);
}

void SpecialSpellings::add_edges(std::string_view text, size_t begin, size_t end,
                                 std::vector<size_t>& places) const {
  const std::string_view whole = text.substr(begin, end - begin);
  const size_t most = std::min(whole.size(), std::min(longest_, kLongestAtEdges));
  for (size_t length = 1; length <= most; ++length) {
    if (last_bytes_[static_cast<unsigned char>(whole[length - 1])] && is_boundary(whole, length) &&
        is_ending(whole.substr(0, length))) {
      places.push_back(telling_place(text, begin, begin + length));
    }
    const size_t start = whole.size() - length;
    if (first_bytes_[static_cast<unsigned char>(whole[start])] &&
        is_beginning(whole.substr(start))) {
      places.push_back(telling_place(text, begin + start, end));
    }
  }
  if (!whole.empty() && is_inside(whole)) places.push_back(telling_place(text, begin, end));
}

std::vector<size_t> SpecialSpellings::places(std::string_view text, bool edges) const {
  std::vector<size_t> places;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!first_bytes_[static_cast<unsigned char>(text[i])]) continue;
    const std::string_view rest = text.substr(i);
    if (begins_token(rest)) {
      // A token of one character has no other place.
      const bool whole =
          std::binary_search(tokens_.begin(), tokens_.end(), first_characters(rest, 1));
      places.push_back(whole ? i : telling_place(text, i, text.size()));
    }
  }
  if (edges) {
    size_t begin = 0, end = text.size();
    add_edges(text, begin, end, places);
    while (begin < end && is_space(text[begin])) ++begin;
    while (begin < end && is_space(text[end - 1])) --end;
    if (end - begin < text.size()) add_edges(text, begin, end, places);
  }
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  return places;
}

}  // namespace tessera
