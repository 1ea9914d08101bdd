// Keeps what messages say apart from what a template says, through the template and out of it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "text/special_spellings.h"

namespace tessera {

// A mark goes before a character of each special token that a content spells. Templates trim, cut,
// join and write JSON of contents, and the mark comes through all of that, being a word of ASCII
// digits that nobody else uses. What a mark is in is not the token's spelling any more, to the
// template as well.
class LiteralContents {
 public:
  // `variables` are those of the template. Marks their messages (but for roles), tools and
  // documents.
  LiteralContents(nlohmann::ordered_json& variables, const SpecialSpellings& spellings);

  // Takes the marks out of what was rendered and says where characters stand that were marked,
  // ascending: EncodeOptions::literal.
  std::vector<size_t> unmark(std::string& text) const;

 private:
  void mark(nlohmann::ordered_json& value, bool edges);
  bool mark(std::string& text, bool edges) const;

  const SpecialSpellings& spellings_;
  std::string mark_;
};

}  // namespace tessera
