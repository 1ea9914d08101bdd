// From a row of logits to a token.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/deadline.h"
#include "base/token.h"
#include "decode/beam_search.h"
#include "decode/draw.h"
#include "grammar/constraint.h"
#include "tessera/options.h"

namespace tessera {

// Tokens that do not come one after another in an answer, as long as that has fewer than `until`
// tokens. One token alone does not come at all.
struct Ban {
  std::vector<Token> tokens;  // at least one
  size_t until = std::numeric_limits<size_t>::max();
};

// The rule that gives a token, the same whatever decoder asks: argmax over the filtered logits of
// logit / temperature + gumbel(seed, position, token), the lowest token of equals. Top-p keeps a
// token if those more likely have less than p of the mass (draw.h). The token depends on the
// logits, on the tokens before, and on the position; never on how the position was reached, so a
// drafted token is right exactly if it equals the one this rule gives (Daliri et al. 2025). A
// constraint is part of the logits: the sampler takes it along the answer among `tokens`. So are
// bans; where a constraint leaves nothing else, it wins.
class Sampler {
 public:
  // `source`: the form that the answer must keep to (grammar/structured_output.h); none if empty.
  // Throws Error if an option is out of range. Without a seed it takes a random one.
  explicit Sampler(SamplingOptions options, std::shared_ptr<const ConstraintSource> source = {},
                   std::vector<Ban> bans = {});

  // `tokens`: the sequence so far, prompt included; the answer is the token at position
  // tokens.size(). `prompt_size`: how many of them are the prompt.
  Token choose(std::span<const float> logits, std::span<const Token> tokens, size_t prompt_size);

  // For a beam search: the `count` likeliest tokens, the likeliest first, of equals the lower one
  // first; fewer if no others are possible. As Hugging Face has it, the log-probabilities are the
  // model's, changed by penalties, biases, bans and the constraint, and are not normalized again;
  // the temperature and the filters play no part. There is always one: where nothing is possible,
  // what choose() gives at temperature 0, with a log-probability that any other text beats.
  std::vector<BeamToken> likeliest(std::span<const float> logits, std::span<const Token> tokens,
                                   size_t prompt_size, int count);
  // Of each token, at the temperature (above 0), with penalties, biases, bans and the constraint,
  // and without the filters.
  void probabilities(std::span<const float> logits, std::span<const Token> tokens,
                     size_t prompt_size, std::vector<double>& into);
  // One that chooses by the same rule, and knows nothing of an answer yet.
  Sampler twin() const { return Sampler(options_, constraint_source_, bans_); }
  // Takes over what `other` knows of its answer, so that nothing of that is read again.
  void follow(const Sampler& other);
  // Finds out what choose() needs to know of the constraint behind `answer`. False if that was not
  // done by the deadline; choose() finds it out itself if need be.
  bool prepare(std::span<const Token> answer, Deadline deadline);
  // What prepare() prepares, for another thread to do so: the sampler is to be left alone while
  // that is at it.
  std::shared_ptr<Constraint> constraint(std::span<const Token> answer);
  // A constraint that has come as far as `answer`, for somebody to look ahead with, who leaves the
  // sampler's as it is. nullptr if there is none, or if it has no copies.
  std::unique_ptr<Constraint> ahead(std::span<const Token> answer) const;

  // Whether `answer`, without the token that ends it, is all that the constraint asks for.
  bool completes(std::span<const Token> answer);

  const SamplingOptions& options() const { return options_; }
  uint64_t seed() const { return *options_.seed; }

 private:
  // `log_total` is taken from each logit before anything else is done, if anything is.
  std::span<const float> adjust(std::span<const float> logits, std::span<const Token> tokens,
                                size_t prompt_size, double log_total = 0);
  void penalize(std::span<const Token> tokens, size_t prompt_size);
  void forbid(std::span<const Token> answer);
  void note_complete();
  bool goes_on(std::span<const Token> answer) const;
  Constraint& constraint_after(std::span<const Token> answer);
  Candidates filter(std::span<const float> logits);
  void keep_top_k(Candidates& candidates, size_t k);
  BeamToken last_resort(std::span<const float> logits);
  Token draw_top_p(const Candidates& candidates, Noise noise) const;

  SamplingOptions options_;
  std::shared_ptr<const ConstraintSource> constraint_source_;
  std::vector<Ban> bans_;
  std::shared_ptr<Constraint> constraint_;  // of an answer that begins with constrained_
  std::vector<Token> constrained_;
  // Whether so many tokens of it were all, as far as that was found out on the way.
  std::vector<std::optional<bool>> complete_;
  // Reused between calls.
  std::vector<float> logits_, block_maxima_, scratch_;
  std::vector<TokenLogit> likeliest_;
};

}  // namespace tessera
