#include "text/character_sets.h"

#include <fmt/format.h>

#include <array>

#include "text/newer_characters.h"

namespace tessera {
namespace {

std::string alphabetic() {
  return "\\p{Alphabetic}" + newer_characters("L");
}

struct NamedCategory {
  std::string_view name, category;
};
// General categories by their long names: without spaces, hyphens and underscores, in small
// letters.
constexpr auto kCategories = std::to_array<NamedCategory>({
    {"closepunctuation", "Pe"},
    {"cntrl", "Cc"},
    {"combiningmark", "M"},
    {"connectorpunctuation", "Pc"},
    {"control", "Cc"},
    {"currencysymbol", "Sc"},
    {"dashpunctuation", "Pd"},
    {"decimalnumber", "Nd"},
    {"digit", "Nd"},
    {"enclosingmark", "Me"},
    {"finalpunctuation", "Pf"},
    {"format", "Cf"},
    {"initialpunctuation", "Pi"},
    {"letter", "L"},
    {"letternumber", "Nl"},
    {"lineseparator", "Zl"},
    {"lowercaseletter", "Ll"},
    {"mark", "M"},
    {"mathsymbol", "Sm"},
    {"modifierletter", "Lm"},
    {"modifiersymbol", "Sk"},
    {"nonspacingmark", "Mn"},
    {"number", "N"},
    {"openpunctuation", "Ps"},
    {"other", "C"},
    {"otherletter", "Lo"},
    {"othernumber", "No"},
    {"otherpunctuation", "Po"},
    {"othersymbol", "So"},
    {"paragraphseparator", "Zp"},
    {"privateuse", "Co"},
    {"punctuation", "P"},
    {"separator", "Z"},
    {"spaceseparator", "Zs"},
    {"spacingmark", "Mc"},
    {"symbol", "S"},
    {"titlecaseletter", "Lt"},
    {"unassigned", "Cn"},
    {"uppercaseletter", "Lu"},
});

}  // namespace

std::string of_category(std::string_view name) {
  return fmt::format("\\p{{{}}}{}", name, newer_characters(name));
}

std::string word_set() {
  return alphabetic() + of_category("M") + of_category("Nd") + "\\p{Pc}";
}

// Outside of brackets, superscripts and fractions of Latin 1 are words to Oniguruma, too.
std::string word_set_outside() {
  return word_set() + "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}";
}

std::string named_set(std::string_view name) {
  if (name == "alnum") return alphabetic() + of_category("Nd");
  if (name == "alpha" || name == "alphabetic") return alphabetic();
  if (name == "any") return "\\x{0}-\\x{10ffff}";
  if (name == "ascii") return "\\x{0}-\\x{7f}";
  if (name == "blank") return "\\p{Zs}\\t";
  if (name == "lower" || name == "lowercase") return "\\p{Lowercase}" + newer_characters("Ll");
  if (name == "punct") return of_category("P") + "$+<=>\\^`|~";
  if (name == "space" || name == "whitespace") return std::string(kSpace);
  if (name == "upper" || name == "uppercase") return "\\p{Uppercase}" + newer_characters("Lu");
  if (name == "word") return word_set();
  if (name == "xdigit") return std::string(kHexDigit);
  for (const NamedCategory& named : kCategories) {
    if (named.name == name) return of_category(named.category);
  }
  return {};
}

}  // namespace tessera
