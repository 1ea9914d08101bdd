#include "evaluate/score.h"

#include "base/error.h"

namespace tessera {
namespace {

void score_all(std::span<Reader> readers, const ScoredText& text, const ScoreOptions& options,
               Score score) {
  for (int chunk = 0; chunk < text.chunks; ++chunk) {
    score_chunk(readers, text, chunk, score);
    if (options.on_progress) options.on_progress(chunk + 1, text.chunks);
  }
}

}  // namespace

Perplexity measure_perplexity(Model& model, const Tokenizer& tokenizer, std::string_view text,
                              const ScoreOptions& options) {
  const ScoredText cut = cut_scored_text(tokenizer, text, options);
  Reader reader(model, options.context, options.kv_format);
  PerplexitySums sums;
  score_all(std::span(&reader, 1), cut, options,
            [&](std::span<const HostRows> logits, int r, Token next) {
              sums.add(-log_probability(logits[0].row(r), next));
            });
  return sums.result(cut.chunks);
}

Divergence measure_divergence(Model& model, Model& reference, const Tokenizer& tokenizer,
                              std::string_view text, const ScoreOptions& options) {
  if (model.config().vocabulary != reference.config().vocabulary) {
    fail("the models have vocabularies of {} and {}", model.config().vocabulary,
         reference.config().vocabulary);
  }
  const ScoredText cut = cut_scored_text(tokenizer, text, options);
  Reader readers[] = {{model, options.context, options.kv_format},
                      {reference, options.context, options.kv_format}};
  DivergenceSums sums;
  score_all(readers, cut, options, [&](std::span<const HostRows> logits, int r, Token next) {
    sums.add(logits[1].row(r), logits[0].row(r), next);
  });
  return sums.result(cut.chunks);
}

}  // namespace tessera
