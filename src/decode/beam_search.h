// Beam search: which texts are followed, which have ended, and when that is enough. Nothing here
// knows how log-probabilities are computed.
//
// The rules are those of Hugging Face's transformers (GenerationMixin._beam_search, version 5,
// without sampling), so that the same numbers give the same texts:
//
//   - A text's score is the sum of its tokens' log-probabilities / length ^ length_penalty. Length
//     counts generated tokens, an ending one included, never the prompt.
//   - A step looks at the best `width` * (1 + tokens that end a text) continuations of all beams,
//     by their sums; of these the best `width` that do not end go on. One that ends is a result
//     only if it is among the best `width` of all.
//   - The best `width` results are kept.
//   - The search is over when nothing goes on; with kYes, when there are `width` results; else when
//     there are, and the score of the best beam would not beat the worst of them: at its present
//     length, or with kNever and a length penalty above 0, at the greatest length.
//
// Where transformers fill up with texts of no probability, there are fewer beams here, and in the
// end perhaps fewer results.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "base/token.h"
#include "tessera/options.h"

namespace tessera {

struct BeamOptions {
  int width = 1;  // 1: no search
  double length_penalty = 1;
  EarlyStopping early_stopping = EarlyStopping::kNo;

  // Throws Error naming the first value that is out of range.
  void validate() const;
};

inline constexpr int kMaxBeams = 64;

// A token that may come next, and how likely.
struct BeamToken {
  Token token = 0;
  float logprob = 0;  // by which texts are compared: with penalties and biases
  float raw = 0;      // what the model itself said
};

class BeamSearch {
 public:
  // `most_tokens`: the greatest length of a text, for kNever.
  BeamSearch(const BeamOptions& options, int most_tokens);

  // The tokens of all texts are a tree: what texts share is there once.
  struct Node {
    int before = -1;  // the node of the token before, -1 for a text's first
    int parent = 0;   // the beam that it continues, as it was numbered before the step
    Token token = 0;
    float raw = 0;  // BeamToken::raw
  };
  int nodes() const { return static_cast<int>(nodes_.size()); }
  const Node& node(int n) const { return nodes_[static_cast<size_t>(n)]; }
  // The nodes of a text from its first token to its last, which is `node`; and their tokens.
  std::vector<int> path(int node) const;
  std::vector<Token> answer(int node) const;

  // A text that is followed. At first there is one, empty.
  struct Beam {
    int node = -1;       // its last
    double logprob = 0;  // the sum of its tokens' log-probabilities
  };
  std::span<const Beam> beams() const { return beams_; }  // the best first

  // How many of a beam's likeliest tokens a step needs to know, if `ends` tokens end a text.
  static int candidates(int width, int ends) { return width * std::max(2, 1 + ends); }

  // A continuation of beams()[parent]; the caller says whether it ends its text.
  struct Candidate {
    int parent = 0;
    BeamToken token;
    double logprob = 0;  // the sum with the token
    bool ends = false;
  };
  // The best `count` continuations, best first. next[i]: what may come after beams()[i], best
  // first. Of equals the better beam's is first, then that of the lower token.
  std::vector<Candidate> best(std::span<const std::vector<BeamToken>> next, int count) const;
  // Goes on with what best() gave. False if the search is over: results() are final.
  bool step(std::span<const Candidate> candidates);

  struct Result {
    int node = -1;
    double score = 0;
  };
  std::span<const Result> results() const { return results_; }  // the best first

 private:
  double score(double logprob, int length) const;
  bool is_over() const;
  int add_node(const Candidate& candidate);

  BeamOptions options_;
  int most_tokens_;
  int length_ = 0;
  std::vector<Node> nodes_;
  std::vector<Beam> beams_;
  std::vector<Result> results_;
};

}  // namespace tessera
