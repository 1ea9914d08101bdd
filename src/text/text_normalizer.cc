#include "text/text_normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "checkpoint/byte_alphabet.h"
#include "text/characters.h"
#include "text/charsmap.h"
#include "text/oniguruma.h"
#include "text/regex.h"

namespace tessera {
namespace {

using Kind = NormalizerStep::Kind;

// U+FDFA becomes 18 characters, and no real step comes near that.
constexpr size_t kMostGrowth = 64, kMostMore = size_t{1} << 20;

void check_growth(size_t size, size_t before) {
  if (size / kMostGrowth > before + kMostMore)
    fail("tokenizer: its normalizer makes more than {} bytes of a text of {}", size, before);
}

// Characters that utf8proc decomposes, or orders as marks, and the
// "unicode-normalization-alignments" that Hugging Face normalizes with (Unicode 9) does not: to it
// they are nothing special. Found by asking both about all characters.
struct Range {
  char32_t first, last;
};
constexpr Range kYounger[] = {
    {0x7FD, 0x7FD},     {0x897, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},
    {0xC3C, 0xC3C},     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0xECE, 0xECE},
    {0x1715, 0x1715},   {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},   {0x32FF, 0x32FF},
    {0xA7F1, 0xA7F4},   {0xA82C, 0xA82C},   {0xAB69, 0xAB69},   {0x105C9, 0x105C9},
    {0x105E4, 0x105E4}, {0x10781, 0x10785}, {0x10787, 0x107B0}, {0x107B2, 0x107BA},
    {0x10D24, 0x10D27}, {0x10D69, 0x10D6D}, {0x10EAB, 0x10EAC}, {0x10EFC, 0x10EFF},
    {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B},
    {0x11383, 0x11383}, {0x11385, 0x11385}, {0x1138E, 0x1138E}, {0x11391, 0x11391},
    {0x113C5, 0x113C8}, {0x113CE, 0x113D0}, {0x113E1, 0x113E2}, {0x1145E, 0x1145E},
    {0x11839, 0x1183A}, {0x11938, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943},
    {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99},
    {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42},
    {0x16121, 0x1612F}, {0x16D67, 0x16D6A}, {0x16FF0, 0x16FF1}, {0x1CCD6, 0x1CCF9},
    {0x1E030, 0x1E06D}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE},
    {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}, {0x1E5EE, 0x1E5EF}, {0x1F16C, 0x1F16C},
    {0x1FBF0, 0x1FBF9},
};

bool is_younger(char32_t c) {
  const auto* after = std::ranges::upper_bound(kYounger, c, {}, &Range::first);
  return after != std::begin(kYounger) && c <= (after - 1)->last;
}

std::string unicode_form_of_all(std::string_view text, int form) {
  utf8proc_uint8_t* result = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &result,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | form));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(result, std::free);
  if (size < 0) fail("tokenizer: normalizing a text: {}", utf8proc_errmsg(size));
  return std::string(reinterpret_cast<const char*>(result), static_cast<size_t>(size));
}

// Calls visit(character) with each character's bytes.
template <typename Visit>
void for_each_character(std::string_view text, Visit&& visit) {
  while (!text.empty()) {
    const size_t length = std::min(utf8_length_from_lead(text[0]), text.size());
    visit(text.substr(0, length));
    text.remove_prefix(length);
  }
}

std::string unicode_form(std::string_view text, int form) {
  std::string result;
  size_t done = 0, at = 0;
  for_each_character(text, [&](std::string_view character) {
    const size_t begin = at;
    at += character.size();
    if (character.size() == 1 || !is_younger(decode_utf8(character))) return;
    result.append(unicode_form_of_all(text.substr(done, begin - done), form)).append(character);
    done = at;
  });
  return result.append(unicode_form_of_all(text.substr(done), form));
}

// What utf8proc 2.8 (Unicode 15) does not know.
char32_t lower_case_of_younger(char32_t c) {
  if (c >= 0x10D50 && c <= 0x10D65) return c + 0x20;
  if (c >= 0x16EA0 && c <= 0x16EB8) return c + 0x1B;
  switch (c) {
    case 0x1C89:
    case 0xA7CC:
    case 0xA7CE:
    case 0xA7D2:
    case 0xA7D4:
    case 0xA7DA:
      return c + 1;
    case 0xA7CB:
      return 0x264;
    case 0xA7DC:
      return 0x19B;
    default:
      return c;
  }
}

std::string lower_case(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for_each_character(text, [&](std::string_view character) {
    const char32_t c = decode_utf8(character);
    if (c == 0x130) {
      result += "i\u0307";  // the only one that becomes two
    } else {
      const auto small = static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
      append_utf8(result, small == c ? lower_case_of_younger(c) : small);
    }
  });
  return result;
}

// Calls visit(cluster) for each extended grapheme cluster (Unicode annex 29).
template <typename Visit>
void for_each_cluster(std::string_view text, Visit&& visit) {
  utf8proc_int32_t state = 0;
  size_t begin = 0, at = 0;
  char32_t before = 0;
  for_each_character(text, [&](std::string_view character) {
    const char32_t c = decode_utf8(character);
    if (at > begin && utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(before),
                                                       static_cast<utf8proc_int32_t>(c), &state)) {
      visit(text.substr(begin, at - begin));
      begin = at;
    }
    before = c;
    at += character.size();
  });
  if (at > begin) visit(text.substr(begin, at - begin));
}

// As Hugging Face's spm_precompiled does it: of a short cluster, what the shortest key at its
// beginning becomes stands for all of it; else each character for itself.
std::string apply_charsmap(const Charsmap& charsmap, std::string_view text) {
  constexpr size_t kLongCluster = 6;
  std::string result;
  result.reserve(text.size());
  const auto replace = [&](std::string_view part) {
    const Charsmap::Replacement found = charsmap.find_shortest(part);
    if (found.consumed > 0) result += found.text;
    return found.consumed > 0;
  };
  for_each_cluster(text, [&](std::string_view cluster) {
    if (cluster.size() < kLongCluster && replace(cluster)) return;
    for_each_character(cluster, [&](std::string_view character) {
      if (!replace(character)) result += character;
    });
  });
  return result;
}

std::string apply_own_charsmap(const Charsmap& charsmap, std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const Charsmap::Replacement found = charsmap.find(text);
    const size_t size =
        found.consumed > 0 ? found.consumed : std::min(utf8_length_from_lead(text[0]), text.size());
    result += found.consumed > 0 ? found.text : text.substr(0, size);
    text.remove_prefix(size);
  }
  return result;
}

// The replacements are bytes of a file, cut at its offsets.
std::string repaired(std::string text) {
  return is_valid_utf8(text) ? std::move(text) : replace_invalid_bytes(text);
}

}  // namespace

struct TextNormalizer::Step {
  Kind kind;
  std::string content;
  std::optional<Regex> regex;
  Charsmap charsmap;

  explicit Step(const NormalizerStep& step) : kind(step.kind), content(step.content) {
    if (kind == Kind::kCharsmap || kind == Kind::kOwnCharsmap) {
      charsmap = Charsmap(content);
      content.clear();
    }
    if (kind == Kind::kReplace || kind == Kind::kSurround) {
      regex.emplace(step.pattern.is_regex ? pcre2_from_oniguruma(step.pattern.text)
                                          : pcre2_from_text(step.pattern.text));
    }
  }

  std::string replace(const std::string& text, bool& keeps_beginning) const {
    std::string result;
    Regex::Scratch scratch;
    size_t done = 0;
    regex->for_each_match(text, scratch, [&](size_t begin, size_t end) {
      // What replaces several characters counts as standing where the last of them did.
      const bool is_one = end > 0 && end == utf8_length_from_lead(text[0]);
      if (begin == 0 && end > 0 && (content.empty() || !is_one)) keeps_beginning = false;
      result.append(text, done, begin - done).append(content);
      if (kind == Kind::kSurround) result.append(text, begin, end - begin).append(content);
      check_growth(result.size(), text.size());
      done = end;
    });
    return result.append(text, done);
  }
};

TextNormalizer::TextNormalizer(std::span<const NormalizerStep> steps) {
  for (const NormalizerStep& step : steps) steps_.emplace_back(step);
}

TextNormalizer::~TextNormalizer() = default;
TextNormalizer::TextNormalizer(TextNormalizer&&) noexcept = default;

TextNormalizer::Result TextNormalizer::normalize(std::string_view text, bool continues) const {
  return normalize_until(text, continues, nullptr);
}

// What the steps before `end` make of the text's first character.
std::string TextNormalizer::beginning_until(std::string_view text, const Step& end) const {
  if (text.empty()) return {};
  const size_t length = std::min(utf8_length_from_lead(text[0]), text.size());
  return normalize_until(text.substr(0, length), true, &end).text;
}

TextNormalizer::Result TextNormalizer::normalize_until(std::string_view text, bool continues,
                                                       const Step* end) const {
  Result result = {std::string(text)};
  std::string& now = result.text;
  for (const Step& step : steps_) {
    if (&step == end) break;
    switch (step.kind) {
      case Kind::kNfc:
        now = unicode_form(now, UTF8PROC_COMPOSE);
        break;
      case Kind::kNfd:
        now = unicode_form(now, UTF8PROC_DECOMPOSE);
        break;
      case Kind::kNfkc:
        now = unicode_form(now, UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
        break;
      case Kind::kNfkd:
        now = unicode_form(now, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
        break;
      case Kind::kLowercase:
        now = lower_case(now);
        break;
      case Kind::kStripLeft:
        if (const size_t size = leading_white_space(now)) {
          // What is left may still be of the text's first character.
          if (size >= beginning_until(text, step).size()) result.keeps_beginning = false;
          now.erase(0, size);
        }
        break;
      case Kind::kStripRight:
        now.resize(now.size() - trailing_white_space(now));
        break;
      case Kind::kPrepend:
        if (!now.empty() && !continues) now.insert(0, step.content);
        break;
      case Kind::kReplace:
      case Kind::kSurround:
        now = step.replace(now, result.keeps_beginning);
        break;
      case Kind::kCharsmap:
        now = repaired(apply_charsmap(step.charsmap, now));
        break;
      case Kind::kOwnCharsmap:
        now = repaired(apply_own_charsmap(step.charsmap, now));
        break;
      case Kind::kToAlphabet:
        now = to_alphabet(now);
        break;
    }
    check_growth(now.size(), text.size());
  }
  return result;
}

}  // namespace tessera
