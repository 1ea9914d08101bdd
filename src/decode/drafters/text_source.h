// Guesses what followed the last tokens in some text.
#pragma once

#include <memory>
#include <vector>

#include "decode/guess_source.h"
#include "decode/suffix_automaton.h"

namespace tessera {

// At the place of the longest end of the sequence that occurs in the text, which others may write.
class TextSource : public GuessSource {
 public:
  // No token of any text: what stands before one is not followed by what stands behind it.
  static constexpr Token kBreak = -1;
  enum Reads { kAll, kAnswer };  // of a sequence

  explicit TextSource(std::shared_ptr<const SuffixAutomaton> text, Reads reads = kAll)
      : text_(std::move(text)), reads_(reads) {}

  std::span<const float> chances() const override;
  Place here() const override { return {match_.state, match_.length}; }
  Place after(Place place, Token token) const override;
  void guess(Place place, std::vector<Guess>& to) const override;
  void read(Token token, bool of_answer) override;

 protected:
  // The match in another text is lost.
  void look_into(const std::shared_ptr<const SuffixAutomaton>& text);

 private:
  std::shared_ptr<const SuffixAutomaton> text_;
  Reads reads_;
  SuffixAutomaton::Match match_;
  mutable std::vector<SuffixAutomaton::Successor> successors_;  // reused between calls
};

}  // namespace tessera
