// How well a model predicts a text: perplexity, and KL divergence from a reference model.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "model/model.h"
#include "text/tokenizer.h"

namespace tessera {

// The text is cut into chunks of `context` tokens; each is read from nothing, and the second half
// of it is scored (llama.cpp's definition, so that figures compare).
struct ScoreOptions {
  int context = 512;
  int chunks = 0;  // 0: as many as the text fills
  KvFormat kv_format = KvFormat::kF16;
  std::function<void(size_t done, size_t total)> on_progress;
};

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

// Throws Error if the text does not fill one chunk, or if a chunk does not fit the model's context.
Perplexity measure_perplexity(Model& model, const Tokenizer& tokenizer, std::string_view text,
                              const ScoreOptions& options);

// Both models must have the same vocabulary; the text is tokenized once, with `tokenizer`.
Divergence measure_divergence(Model& model, Model& reference, const Tokenizer& tokenizer,
                              std::string_view text, const ScoreOptions& options);

// log softmax(logits)[token], in double.
double log_probability(std::span<const float> logits, Token token);

}  // namespace tessera
