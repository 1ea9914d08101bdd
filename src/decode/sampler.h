// From a row of logits to a token.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/token.h"
#include "decode/draw.h"
#include "grammar/constraint.h"

namespace tessera {

struct SamplingOptions {
  float temperature = 0.8f;  // 0: greedy
  // Keep the k most likely tokens (Fan et al. 2018). 0: off.
  int top_k = 40;
  // Keep the smallest set with this much probability (Holtzman et al. 2020). 1: off.
  float top_p = 0.95f;
  // Keep tokens at least this likely, relative to the best (Nguyen et al. 2024). 0: off.
  float min_p = 0.05f;
  // Divides positive logits of seen tokens, multiplies others (Keskar et al. 2019). 1: off.
  float repetition_penalty = 1.0f;
  int penalty_window = 64;         // last tokens that the repetition penalty looks at; -1: all
  float presence_penalty = 0.0f;   // subtracted once from the logit of a token generated before
  float frequency_penalty = 0.0f;  // subtracted for each time it was generated
  // Added to the logits; -infinity forbids a token.
  std::unordered_map<Token, float> logit_bias = {};
  uint64_t seed = 0;
  // The form that the answer must keep to (grammar/structured_output.h); none if empty.
  std::shared_ptr<const ConstraintSource> constraint = {};

  // Throws Error naming the first value that is out of range.
  void validate() const;
};

// The rule that gives a token, the same whatever decoder asks: argmax over the filtered logits of
// logit / temperature + gumbel(seed, position, token), the lowest token of equals. Top-p keeps a
// token if those more likely have less than p of the mass (draw.h). The token depends on the
// logits, on the tokens before, and on the position; never on how the position was reached, so a
// drafted token is right exactly if it equals the one this rule gives (Daliri et al. 2025). A
// constraint is part of the logits: the sampler takes it along the answer among `tokens`.
class Sampler {
 public:
  explicit Sampler(SamplingOptions options) : options_(std::move(options)) { options_.validate(); }

  // `tokens`: the sequence so far, prompt included; the answer is the token at position
  // tokens.size(). `prompt_size`: how many of them are the prompt.
  Token choose(std::span<const float> logits, std::span<const Token> tokens, size_t prompt_size);

  // Whether `answer`, without the token that ends it, is all that the constraint asks for.
  bool completes(std::span<const Token> answer);

  const SamplingOptions& options() const { return options_; }

 private:
  std::span<const float> adjust(std::span<const float> logits, std::span<const Token> tokens,
                                size_t prompt_size);
  void penalize(std::span<const Token> tokens, size_t prompt_size);
  Constraint& constraint_after(std::span<const Token> answer);
  Pool filter(std::span<const float> logits);
  void keep_top_k(Pool& pool, size_t k);
  Token draw_top_p(const Pool& pool, Noise noise) const;

  SamplingOptions options_;
  std::unique_ptr<Constraint> constraint_;  // of an answer that begins with constrained_
  std::vector<Token> constrained_;
  // Reused between calls.
  std::vector<float> logits_, block_maxima_, scratch_;
  std::vector<Place> candidates_;
};

}  // namespace tessera
