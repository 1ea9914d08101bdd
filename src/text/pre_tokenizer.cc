#include "text/pre_tokenizer.h"

#include <array>
#include <utility>

#include "base/utf8.h"
#include "text/regex.h"

namespace tessera {
namespace {

struct CharacterClass {
  char name;
  std::string_view property;
  // Unicode 15.0 and 15.1 characters of the class: the oldest PCRE2 that we build with knows 14.0
  // only, llama.cpp knows these.
  std::string_view newer;
};

constexpr auto kClasses = std::to_array<CharacterClass>({
    {'L', "\\p{L}",
     "\\x{1123f}-\\x{11240}\\x{11f02}\\x{11f04}-\\x{11f10}\\x{11f12}-\\x{11f33}\\x{1342f}"
     "\\x{13441}-\\x{13446}\\x{1b132}\\x{1b155}\\x{1df25}-\\x{1df2a}\\x{1e030}-\\x{1e06d}"
     "\\x{1e4d0}-\\x{1e4eb}\\x{2b739}\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}"},
    {'N', "\\p{N}", "\\x{11f50}-\\x{11f59}\\x{1d2c0}-\\x{1d2d3}\\x{1e4f0}-\\x{1e4f9}"},
    {'M', "\\p{M}",
     "\\x{0cf3}\\x{0ece}\\x{10efd}-\\x{10eff}\\x{11241}\\x{11f00}-\\x{11f01}\\x{11f03}"
     "\\x{11f34}-\\x{11f3a}\\x{11f3e}-\\x{11f42}\\x{13440}\\x{13447}-\\x{13455}\\x{1e08f}"
     "\\x{1e4ec}-\\x{1e4ef}"},
    {'P', "\\p{P}", "\\x{11b00}-\\x{11b09}\\x{11f43}-\\x{11f4f}"},
    {'S', "\\p{S}",
     "\\x{2ffc}-\\x{2fff}\\x{31ef}\\x{1f6dc}\\x{1f774}-\\x{1f776}\\x{1f77b}-\\x{1f77f}\\x{1f7d9}"
     "\\x{1fa75}-\\x{1fa77}\\x{1fa87}-\\x{1fa88}\\x{1faad}-\\x{1faaf}\\x{1fabb}-\\x{1fabd}"
     "\\x{1fabf}\\x{1face}-\\x{1facf}\\x{1fada}-\\x{1fadb}\\x{1fae8}\\x{1faf7}-\\x{1faf8}"},
    // PCRE2's own \s counts U+180E, which Unicode has not called a space since version 6.3.
    {'W', "\\p{White_Space}", ""},
});

// The shorthands of SplitStep written out.
std::string expand(std::string_view pattern) {
  std::string result;
  bool in_brackets = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\') {
      result += pattern.substr(i++, 2);
    } else if (pattern[i] == '%' && pattern.substr(i).starts_with("%w")) {
      result += "\\P{White_Space}";
      ++i;
    } else if (pattern[i] == '%') {
      const char name = pattern.at(++i);
      for (const CharacterClass& c : kClasses) {
        if (c.name != name) continue;
        if (!in_brackets) result += '[';
        result.append(c.property).append(c.newer);
        if (!in_brackets) result += ']';
      }
    } else {
      if (pattern[i] == '[') in_brackets = true;
      if (pattern[i] == ']') in_brackets = false;
      result += pattern[i];
    }
  }
  return result;
}

}  // namespace

class PreTokenizer::Step {
 public:
  explicit Step(const SplitStep& step) : regex_(expand(step.pattern)), in_threes_(step.in_threes) {}

  bool in_threes() const { return in_threes_; }
  // The first match at or after `from`, as begin and end.
  auto match(std::string_view text, size_t from, Regex::Scratch& scratch) const {
    return regex_.match(text, from, scratch);
  }

 private:
  Regex regex_;
  bool in_threes_;
};

namespace {

// Appends `word` to `words` cut at every third character from its end.
void cut_into_threes(std::string_view word, std::vector<std::string_view>& words) {
  size_t characters = 0;
  for (const char c : word) characters += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  while (!word.empty()) {
    const size_t group = characters % 3 == 0 ? 3 : characters % 3;
    size_t bytes = 0;
    for (size_t i = 0; i < group; ++i) bytes += utf8_length_from_lead(word[bytes]);
    words.push_back(word.substr(0, bytes));
    word.remove_prefix(bytes);
    characters -= group;
  }
}

}  // namespace

PreTokenizer::PreTokenizer(std::span<const SplitStep> steps) {
  for (const SplitStep& step : steps) steps_.emplace_back(step);
}

PreTokenizer::~PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  std::vector<std::string_view> words, cut;
  if (!text.empty()) words.push_back(text);
  Regex::Scratch scratch;
  for (const Step& step : steps_) {
    cut.clear();
    for (const std::string_view word : words) {
      size_t done = 0;
      while (done < word.size()) {
        const auto match = step.match(word, done, scratch);
        const auto [begin, end] = match.value_or(std::pair(word.size(), word.size()));
        if (begin > done) cut.push_back(word.substr(done, begin - done));
        const std::string_view found = word.substr(begin, end - begin);
        if (step.in_threes()) {
          cut_into_threes(found, cut);
        } else if (!found.empty()) {
          cut.push_back(found);
        }
        done = end;
      }
    }
    words.swap(cut);
  }
  return words;
}

}  // namespace tessera
