// Sums over scored positions: how surprised a model is, and how far it is from a reference.
#pragma once

#include <span>
#include <vector>

#include "base/token.h"

namespace tessera {

struct Perplexity {
  double value = 0;           // exp(mean negative log-likelihood)
  double standard_error = 0;  // of value
  int chunks = 0;
  long scored_tokens = 0;
};

struct Divergence {
  double mean_kl = 0, standard_error = 0;  // KL(reference || model), nats a token
  double median_kl = 0, high_kl = 0;       // high: below it lie 99.9 % of the positions
  double max_kl = 0;
  double same_top = 0;  // share of positions where both models' most likely token is the same
  Perplexity model, reference;
};

// Mean and its standard error, of values that arrive one by one (Welford 1962).
class Mean {
 public:
  void add(double value);
  double value() const { return mean_; }
  double standard_error() const;
  long count() const { return count_; }

 private:
  long count_ = 0;
  double mean_ = 0, squares_ = 0;
};

class PerplexitySums {
 public:
  void add(double negative_log_likelihood) { loss_.add(negative_log_likelihood); }
  Perplexity result(int chunks) const;

 private:
  Mean loss_;
};

class DivergenceSums {
 public:
  // Logits of one position, of the reference and of the model, and the token that came next.
  void add(std::span<const float> reference, std::span<const float> model, Token next);
  Divergence result(int chunks) const;

 private:
  PerplexitySums loss_, reference_loss_;
  Mean divergence_, same_top_;
  std::vector<double> all_;
};

// log(sum of exp(logits)), and log softmax(logits)[token], in double. Error if it is not finite.
double log_sum_exp(std::span<const float> logits);
double log_probability(std::span<const float> logits, Token token);

}  // namespace tessera
