#include "engine/answer.h"

#include "decode/expected_text.h"

namespace tessera {

Answer::Piece Answer::push(Sequence& sequence, std::span<const Token> tokens) {
  Piece piece;
  for (const Token token : tokens) {
    const size_t index = taken_++;
    // A model may have more logits than the tokenizer has tokens.
    const bool known = static_cast<size_t>(token) < tokenizer_.vocabulary_size();
    // What ends an answer is no part of it.
    ended_ = known && tokenizer_.is_end_of_generation(token) && !sequence.request.ignore_eos;
    const bool in_text = known && !ended_ && !sequence.is_stop(token);
    const bool may_end = index >= static_cast<size_t>(sequence.request.min_tokens);
    if (in_text) piece.text += text_.push(token, may_end);
    if (in_text && index < sequence.logprobs.size())
      piece.logprobs.push_back(std::move(sequence.logprobs[index]));
    if (text_.stopped()) break;
  }
  return piece;
}

Ending Answer::ending(const Sequence& sequence) const {
  const std::vector<Token>& prediction = sequence.request.prediction;
  const auto answer = std::span(sequence.tokens).subspan(sequence.prompt_size());
  const int accepted = count_predicted(prediction, answer);
  return {.finish_reason = to_string(sequence.finished),
          .is_cut = !ended_ || stopped(),
          .prompt_tokens = static_cast<int>(sequence.prompt_size()),
          .generated_tokens = static_cast<int>(taken_),
          .cached_tokens = sequence.statistics.cached_tokens,
          .steps = sequence.statistics.steps,
          .drafted = sequence.statistics.drafted,
          .accepted = sequence.statistics.accepted,
          .accepted_prediction = accepted,
          .rejected_prediction = static_cast<int>(prediction.size()) - accepted};
}

}  // namespace tessera
