// Case as Python's str maps it: the full mapping of Unicode section 3.13, "ß" to "SS", with the
// final sigma as the only letter that looks at its neighbours.
#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "jinja/unicode.h"
#include "jinja/unicode_tables.h"

namespace tessera::jinja::unicode {
namespace {

constexpr char32_t kSigma = 0x3a3;
constexpr std::string_view kFinalSigma = "\xcf\x82";

const SpecialCase* find_special(char32_t c) {
  const auto found = std::lower_bound(
      kSpecialCases.begin(), kSpecialCases.end(), c,
      [](const SpecialCase& entry, char32_t letter) { return entry.letter < letter; });
  return found != kSpecialCases.end() && found->letter == c ? &*found : nullptr;
}

template <const char* SpecialCase::*special, utf8proc_int32_t (*simple)(utf8proc_int32_t)>
void append(std::string& out, char32_t c) {
  if (const SpecialCase* entry = c < 0x80 ? nullptr : find_special(c)) {
    out += entry->*special;
  } else {
    append_utf8(out, static_cast<char32_t>(simple(static_cast<utf8proc_int32_t>(c))));
  }
}

constexpr auto append_upper = append<&SpecialCase::upper, utf8proc_toupper>;
constexpr auto append_title = append<&SpecialCase::title, utf8proc_totitle>;

// Maps a text letter by letter and knows, for the sigma's sake, what lies around each.
class Lowerer {
 public:
  explicit Lowerer(std::string_view text) : text_(text) {}

  bool done() const { return next_ >= text_.size(); }
  char32_t take() {
    if (!is_case_ignorable(current_)) after_cased_ = is_cased(current_);
    return current_ = decode(text_, next_);
  }
  // The letter taken last.
  void append_lower(std::string& out) const {
    if (current_ == kSigma && after_cased_ && !before_cased()) {
      out += kFinalSigma;
    } else {
      append<&SpecialCase::lower, utf8proc_tolower>(out, current_);
    }
  }

 private:
  bool before_cased() const {
    for (size_t i = next_; i < text_.size();) {
      const char32_t c = decode(text_, i);
      if (!is_case_ignorable(c)) return is_cased(c);
    }
    return false;
  }

  std::string_view text_;
  size_t next_ = 0;
  char32_t current_ = 0;
  bool after_cased_ =
      false;  // the last letter before the current one that counts for case is cased
};

}  // namespace

std::string upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) append_upper(out, decode(text, i));
  return out;
}

std::string lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (Lowerer letters(text); !letters.done();) {
    letters.take();
    letters.append_lower(out);
  }
  return out;
}

std::string case_fold(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    std::array<utf8proc_int32_t, 4> folded;  // no letter folds to more than three
    const auto count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(decode(text, i)), folded.data(),
                                folded.size(), UTF8PROC_CASEFOLD, nullptr);
    for (utf8proc_ssize_t k = 0; k < count; ++k) {
      append_utf8(out, static_cast<char32_t>(folded[static_cast<size_t>(k)]));
    }
  }
  return out;
}

std::string swap_case(std::string_view text) {
  std::string out;
  for (Lowerer letters(text); !letters.done();) {
    const char32_t c = letters.take();
    if (is_upper(c)) {
      letters.append_lower(out);
    } else if (is_lower(c)) {
      append_upper(out, c);
    } else {
      append_utf8(out, c);
    }
  }
  return out;
}

std::string capitalize(std::string_view text) {
  std::string out;
  for (Lowerer letters(text); !letters.done();) {
    const char32_t c = letters.take();
    if (out.empty()) {
      append_title(out, c);
    } else {
      letters.append_lower(out);
    }
  }
  return out;
}

std::string title(std::string_view text) {
  std::string out;
  bool inside_word = false;
  for (Lowerer letters(text); !letters.done();) {
    const char32_t c = letters.take();
    if (inside_word) {
      letters.append_lower(out);
    } else {
      append_title(out, c);
    }
    inside_word = is_cased(c);
  }
  return out;
}

}  // namespace tessera::jinja::unicode
