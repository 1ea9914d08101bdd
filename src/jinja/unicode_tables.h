// What Python's str knows of Unicode and utf8proc does not tell. The tables are sorted by code
// point and made by script/make-unicode-tables.
#pragma once

#include <vector>

namespace tessera::jinja::unicode {

struct Range {
  char32_t first, last;
};

extern const std::vector<Range> kOtherDigits;     // str.isdigit(), but no decimal digit: "²"
extern const std::vector<Range> kOtherNumerics;   // str.isnumeric(), but no digit: "½", "五"
extern const std::vector<Range> kOtherLowercase;  // str.islower(), but not of category Ll: "ª"
extern const std::vector<Range> kOtherUppercase;  // str.isupper(), but not of category Lu: "Ⅳ"
extern const std::vector<Range>
    kOtherIdentifierParts;  // in names, but no letter, mark or digit: "·"
extern const std::vector<Range> kOtherCaseIgnorable;  // not of category Mn, Me, Cf, Lm or Sk: "'"

// A letter of which one form is several code points long; the forms are UTF-8.
struct SpecialCase {
  char32_t letter;
  const char *upper, *title, *lower;
};
extern const std::vector<SpecialCase> kSpecialCases;

}  // namespace tessera::jinja::unicode
