#include "text/word_splitter.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "checkpoint/byte_alphabet.h"
#include "text/oniguruma.h"
#include "text/regex.h"

namespace tessera {
namespace {

using Kind = WordStep::Kind;
using Words = WordSplitter::Words;
using Word = WordSplitter::Words::Word;

constexpr std::string_view kSpaceMark = "\u2581";

struct Part {
  size_t begin, end;
  bool is_match;
};

// What becomes of the parts of one word, appended to `words`. As "tokenizers" does it, whose parts
// may be empty: those join neighbours, or keep them apart, like others.
void join_parts(std::vector<Part>& parts, SplitBehaviour behaviour, std::vector<Word>& words) {
  std::vector<Word> joined;
  bool before = false;
  switch (behaviour) {
    case SplitBehaviour::kIsolated:
      for (const Part& part : parts) joined.push_back({part.begin, part.end});
      break;
    case SplitBehaviour::kRemoved:
      for (const Part& part : parts) {
        if (!part.is_match) joined.push_back({part.begin, part.end});
      }
      break;
    case SplitBehaviour::kContiguous:
      for (const Part& part : parts) {
        if (part.is_match == before && !joined.empty()) {
          joined.back().end = part.end;
        } else {
          joined.push_back({part.begin, part.end});
        }
        before = part.is_match;
      }
      break;
    case SplitBehaviour::kWithPrevious:
      for (const Part& part : parts) {
        if (part.is_match && !before && !joined.empty()) {
          joined.back().end = part.end;
        } else {
          joined.push_back({part.begin, part.end});
        }
        before = part.is_match;
      }
      break;
    case SplitBehaviour::kWithNext:
      for (size_t i = parts.size(); i-- > 0;) {
        const Part& part = parts[i];
        if (part.is_match && !before && !joined.empty()) {
          joined.back().begin = part.begin;
        } else {
          joined.push_back({part.begin, part.end});
        }
        before = part.is_match;
      }
      std::reverse(joined.begin(), joined.end());
      break;
  }
  for (const Word& word : joined) {
    if (word.end > word.begin) words.push_back(word);
  }
}

void append_marked(std::string_view word, std::string& text) {
  for (const char c : word) {
    if (c == ' ') {
      text += kSpaceMark;
    } else {
      text += c;
    }
  }
}

}  // namespace

struct WordSplitter::Step {
  Kind kind;
  SplitBehaviour behaviour;
  bool invert;
  std::optional<Regex> regex;

  explicit Step(const WordStep& step)
      : kind(step.kind), behaviour(step.behaviour), invert(step.invert) {
    if (kind == Kind::kSplit) {
      regex.emplace(step.pattern.is_regex ? pcre2_from_oniguruma(step.pattern.text)
                                          : pcre2_from_text(step.pattern.text));
    }
  }

  void split(Words& words) const {
    Regex::Scratch scratch;
    std::vector<Word> cut;
    std::vector<Part> parts;
    for (const Word& word : words.words) {
      parts.clear();
      size_t done = 0;
      const std::string_view text =
          std::string_view(words.text).substr(word.begin, word.end - word.begin);
      const auto add = [&](size_t begin, size_t end, bool is_match) {
        parts.push_back({word.begin + begin, word.begin + end, is_match != invert});
      };
      regex->for_each_match(text, scratch, [&](size_t begin, size_t end) {
        if (begin > done) add(done, begin, false);
        add(begin, end, true);
        done = end;
      });
      if (done < text.size()) add(done, text.size(), false);
      join_parts(parts, behaviour, cut);
    }
    words.words = std::move(cut);
  }

  // Writes each word anew.
  void change(Words& words, Place place) const {
    Words changed;
    changed.text.reserve(words.text.size() + words.text.size() / 2);
    for (const Word& word : words.words) {
      const std::string_view text =
          std::string_view(words.text).substr(word.begin, word.end - word.begin);
      const size_t begin = changed.text.size();
      const bool may_prepend = !(place.continues && word.begin == 0);
      switch (kind) {
        case Kind::kPrependSpace:
          if (!text.starts_with(' ') && may_prepend) changed.text += ' ';
          changed.text += text;
          break;
        case Kind::kMarkVeryBeginning:
        case Kind::kMarkBeginning: {
          const bool is_asked =
              kind == Kind::kMarkBeginning || (place.begins_text && word.begin == 0);
          if (is_asked && may_prepend && !text.starts_with(kSpaceMark)) changed.text += kSpaceMark;
          changed.text += text;
          break;
        }
        case Kind::kMarkSpaces:
          append_marked(text, changed.text);
          break;
        case Kind::kToAlphabet:
          changed.text += to_alphabet(text);
          break;
        case Kind::kSplit:
          break;
      }
      changed.words.push_back({begin, changed.text.size()});
    }
    words = std::move(changed);
  }
};

WordSplitter::WordSplitter(std::span<const WordStep> steps) {
  for (const WordStep& step : steps) steps_.emplace_back(step);
}

WordSplitter::~WordSplitter() = default;
WordSplitter::WordSplitter(WordSplitter&&) noexcept = default;

Words WordSplitter::split(std::string text, Place place) const {
  // Letters of the alphabet, made of letters of the alphabet, and so on: nobody means that.
  const size_t most = (text.size() + 1024) * 64;
  Words words = {std::move(text), {}};
  if (!words.text.empty()) words.words.push_back({0, words.text.size()});
  for (const Step& step : steps_) {
    if (step.kind == Kind::kSplit) {
      step.split(words);
    } else {
      step.change(words, place);
    }
    if (words.text.size() > most)
      fail("tokenizer: its pre-tokenizer makes more than {} bytes of a text", most);
  }
  return words;
}

}  // namespace tessera
