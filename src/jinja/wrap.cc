#include "jinja/wrap.h"

#include <algorithm>

#include "jinja/unicode.h"

namespace tessera::jinja {
namespace {

bool is_wrap_space(char32_t c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
// A letter, for the rule of where a hyphen divides a word.
bool is_letter(char32_t c) {
  return unicode::is_word(c) && !unicode::is_decimal(c);
}
// A word, or punctuation that sticks to one.
bool is_word_or_mark(char32_t c) {
  return unicode::is_word(c) ||
         (c < 0x80 && c > 0 &&
          std::u32string_view(U"!\"'&.,?").find(c) != std::u32string_view::npos);
}

// Cuts a line into pieces that stay together: words, parts of hyphenated words, dashes and runs of
// white space.
class Chunker {
 public:
  Chunker(std::u32string_view line, bool break_on_hyphens)
      : line_(line), hyphens_(break_on_hyphens) {}

  std::vector<std::u32string_view> run() {
    std::vector<std::u32string_view> chunks;
    for (size_t begin = 0; begin < line_.size();) {
      const size_t end = chunk_end(begin);
      chunks.push_back(line_.substr(begin, end - begin));
      begin = end;
    }
    return chunks;
  }

 private:
  // 0, which is nothing in particular, beyond the ends.
  char32_t at(size_t i) const { return i < line_.size() ? line_[i] : 0; }
  char32_t before(size_t i, size_t distance) const { return distance <= i ? at(i - distance) : 0; }

  size_t chunk_end(size_t begin) const {
    size_t end = begin;
    if (is_wrap_space(at(begin))) {
      while (is_wrap_space(at(end))) ++end;
      return end;
    }
    if (hyphens_ && is_dash(begin)) return line_.find_first_not_of(U'-', begin);
    for (end = begin + 1; end < line_.size() && !is_wrap_space(at(end)); ++end) {
      if (!hyphens_) continue;
      if (divides_word(end)) return end + 1;
      if (is_dash(end)) return end;
    }
    return end;
  }

  // Two hyphens or more after a word and before another.
  bool is_dash(size_t i) const {
    if (at(i) != '-' || at(i + 1) != '-' || !is_word_or_mark(before(i, 1))) return false;
    const size_t end = line_.find_first_not_of(U'-', i);
    return end != line_.npos && unicode::is_word(line_[end]);
  }

  // A hyphen with two letters before it (or a letter, a hyphen and a letter), and two after it.
  bool divides_word(size_t i) const {
    if (at(i) != '-') return false;
    const bool after_letters = is_letter(before(i, 1)) && is_letter(before(i, 2));
    const bool after_hyphenated =
        is_word_or_mark(before(i, 1)) && before(i, 2) == '-' && is_letter(before(i, 3));
    const size_t second = i + (at(i + 2) == '-' ? 3 : 2);
    return (after_letters || after_hyphenated) && is_letter(at(i + 1)) && is_letter(at(second));
  }

  std::u32string_view line_;
  bool hyphens_;
};

bool is_blank(std::u32string_view text) {
  return std::all_of(text.begin(), text.end(), unicode::is_space);
}

// Fills lines of at most `width` characters with chunks. White space at their ends is dropped, but
// not what the text begins with.
class LineFiller {
 public:
  LineFiller(std::vector<std::u32string_view> chunks, const WrapStyle& style)
      : chunks_(std::move(chunks)), style_(style), width_(static_cast<size_t>(style.width)) {
    std::reverse(chunks_.begin(), chunks_.end());
  }

  std::vector<std::u32string> run() {
    while (!chunks_.empty()) {
      if (!lines_.empty() && is_blank(chunks_.back())) chunks_.pop_back();
      fill_line();
    }
    return std::move(lines_);
  }

 private:
  void fill_line() {
    std::vector<std::u32string_view> line;
    size_t size = 0;
    while (!chunks_.empty() && size + chunks_.back().size() <= width_) {
      size += chunks_.back().size();
      line.push_back(chunks_.back());
      chunks_.pop_back();
    }
    if (!chunks_.empty() && chunks_.back().size() > width_) take_long_word(line, width_ - size);
    if (!line.empty() && is_blank(line.back())) line.pop_back();
    if (line.empty()) return;
    std::u32string text;
    for (const auto& chunk : line) text += chunk;
    lines_.push_back(std::move(text));
  }

  // A chunk that fits no line.
  void take_long_word(std::vector<std::u32string_view>& line, size_t room) {
    std::u32string_view& word = chunks_.back();
    if (!style_.break_long_words) {
      if (!line.empty()) return;
      line.push_back(word);
      chunks_.pop_back();
      return;
    }
    size_t end = room;
    if (style_.break_on_hyphens && room > 0) {
      const size_t hyphen = word.rfind(U'-', room - 1);
      const bool inside =
          hyphen != word.npos && hyphen > 0 && word.find_first_not_of(U'-') < hyphen;
      if (inside) end = hyphen + 1;
    }
    line.push_back(word.substr(0, end));
    word.remove_prefix(end);
  }

  std::vector<std::u32string_view> chunks_;
  const WrapStyle& style_;
  size_t width_;
  std::vector<std::u32string> lines_;
};

}  // namespace

std::string wrap_words(std::string_view text, const WrapStyle& style, Budget& budget) {
  std::string out;
  const char* separator = "";
  budget.create(sizeof(std::u32string_view) * text.size());
  for (const std::string_view line : unicode::split_lines(text)) {
    out += std::exchange(separator, style.separator.c_str());
    if (style.width <= 0) fail("wordwrap needs a positive width");
    const char* inner_separator = "";
    const std::u32string decoded = unicode::to_code_points(line);
    for (const auto& filled :
         LineFiller(Chunker(decoded, style.break_on_hyphens).run(), style).run()) {
      out += std::exchange(inner_separator, style.separator.c_str());
      out += unicode::to_utf8(filled);
      budget.check_text(out.size());
    }
    budget.check_text(out.size());
  }
  return out;
}

}  // namespace tessera::jinja
