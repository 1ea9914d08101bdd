#include "text/text_normalizer.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "text/byte_alphabet.h"
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

std::string unicode_form(std::string_view text, int form) {
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

std::string lower_case(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for_each_character(text, [&](std::string_view character) {
    const char32_t c = decode_utf8(character);
    if (c == 0x130) {
      result += "i\u0307";  // the only one that becomes two
    } else {
      append_utf8(result, static_cast<char32_t>(
                              utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
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
    if (at > begin &&
        utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(before),
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
  // The replacements are bytes of a file, cut at its offsets.
  return is_valid_utf8(result) ? result : replace_invalid_bytes(result);
}

}  // namespace

struct TextNormalizer::Step {
  Kind kind;
  std::string content;
  std::optional<Regex> regex;
  Charsmap charsmap;

  explicit Step(const NormalizerStep& step) : kind(step.kind), content(step.content) {
    if (kind == Kind::kCharsmap) {
      charsmap = Charsmap(content);
      content.clear();
    }
    if (kind == Kind::kReplace) {
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
  Result result = {std::string(text)};
  std::string& now = result.text;
  for (const Step& step : steps_) {
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
          now.erase(0, size);
          result.keeps_beginning = false;
        }
        break;
      case Kind::kStripRight:
        now.resize(now.size() - trailing_white_space(now));
        break;
      case Kind::kPrepend:
        if (!now.empty() && !continues) now.insert(0, step.content);
        break;
      case Kind::kReplace:
        now = step.replace(now, result.keeps_beginning);
        break;
      case Kind::kCharsmap:
        now = apply_charsmap(step.charsmap, now);
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
