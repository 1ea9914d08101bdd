// The sequences of one beam search.
//
// Each beam is a sequence of its own: the scheduler gives it rows and blocks, preempts it and
// computes it again as any other, beside others' answers. A sequence whose row has been computed
// rests until all beams have come as far; then the group chooses, and those that begin alike share
// blocks: the best continuation of a beam stays in its sequence, others are forked from it, and
// only the block that both write to is copied. So a step costs one row for each beam.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "decode/beam_search.h"
#include "decode/logprobs.h"
#include "engine/sequence.h"

namespace tessera {

class BeamGroup {
 public:
  // Of the sequences as many as there are beams; the first computes the prompt. `most_tokens`: the
  // greatest length of an answer. is_end(token): the token ends an answer; `ends`: so many do,
  // stop tokens included.
  BeamGroup(std::vector<std::shared_ptr<Sequence>> sequences, int most_tokens, int ends,
            std::function<bool(Token)> is_end);
  ~BeamGroup();
  BeamGroup(const BeamGroup&) = delete;
  BeamGroup& operator=(const BeamGroup&) = delete;

  std::span<const std::shared_ptr<Sequence>> sequences() const { return sequences_; }
  int beams() const { return static_cast<int>(at_.size()); }

  // What a row of logits says, for take(). Touches only the sequence's own sampler.
  struct Next {
    std::vector<BeamToken> tokens;             // the likeliest
    std::vector<std::pair<Token, float>> top;  // TokenLogprobs::top, if asked for
    bool complete = false;  // the text before is all that its constraint asks for
  };
  Next look(Sequence& sequence, std::span<const float> logits) const;
  // The row of `sequence` was computed: it rests.
  void take(Sequence& sequence, Next next);
  // All beams rest.
  bool is_ready() const;
  // Chooses, once it is ready. False if the search is over: then the first sequences have the
  // answers, the best first, and those beyond have none.
  bool advance();
  // Sequences that have become beams for the first time; the scheduler does not know them yet.
  std::vector<std::shared_ptr<Sequence>> take_started() { return std::exchange(started_, {}); }

 private:
  struct Place {  // of a sequence
    bool started = false;
    Next next;
  };
  bool ends(const BeamSearch::Candidate& candidate) const;
  bool ends_text(std::span<const Token> answer) const;
  FinishReason reason_of(int node, std::span<const Token> answer) const;
  void move_beams();
  static void fork(const Sequence& from, Sequence& to);
  void remember_nodes();
  void give_answers();

  std::vector<std::shared_ptr<Sequence>> sequences_;
  int most_tokens_, ends_;
  std::function<bool(Token)> is_end_;
  BeamSearch search_;
  std::vector<size_t> at_;     // where each beam of the search is, among the sequences
  std::vector<Place> places_;  // of each sequence
  std::vector<std::shared_ptr<Sequence>> started_;
  // Of the search's nodes:
  std::vector<bool> complete_;           // whether the text before one was
  std::vector<TokenLogprobs> logprobs_;  // if asked for
};

}  // namespace tessera
