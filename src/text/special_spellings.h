// Where texts spell special tokens, wholly or in part.
#pragma once

#include <bitset>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

class SpecialSpellings {
 public:
  explicit SpecialSpellings(std::vector<std::string> special_tokens);
  SpecialSpellings(const SpecialSpellings&) = delete;  // endings_ lie in tokens_
  SpecialSpellings& operator=(const SpecialSpellings&) = delete;

  // Places of characters in `text`, ascending, of which every special token that it spells has one.
  // Of a token it is the second character, if there is one: what stands at the ends of the text
  // stays. A beginning of four characters counts as spelling the token, for the rest may come from
  // elsewhere.
  //
  // `edges`: also of the tokens that `text` could be a part of when others stand directly before
  // and behind it, with or without the white space around it: "<|im_" ends like that, "end|>"
  // begins so.
  std::vector<size_t> places(std::string_view text, bool edges) const;

 private:
  bool begins_token(std::string_view text) const;  // a token, or the first four characters of one
  bool is_beginning(std::string_view part) const;
  bool is_ending(std::string_view part) const;
  bool is_inside(std::string_view part) const;
  void add_edges(std::string_view text, size_t begin, size_t end,
                 std::vector<size_t>& places) const;

  std::vector<std::string> tokens_;        // sorted
  std::vector<std::string_view> endings_;  // of each token, without its first characters; sorted
  std::bitset<256> first_bytes_, last_bytes_;
  size_t longest_ = 0;
};

}  // namespace tessera
