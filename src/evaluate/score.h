// How well a model predicts a text: perplexity, and KL divergence from a reference model.
#pragma once

#include <string_view>

#include "evaluate/divergence.h"
#include "evaluate/scored_text.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace tessera {

// Throws Error if the text does not fill one chunk, or if a chunk does not fit the model's context.
Perplexity measure_perplexity(Model& model, const Tokenizer& tokenizer, std::string_view text,
                              const ScoreOptions& options);

// Both models must have the same vocabulary; the text is tokenized once, with `tokenizer`.
Divergence measure_divergence(Model& model, Model& reference, const Tokenizer& tokenizer,
                              std::string_view text, const ScoreOptions& options);

}  // namespace tessera
