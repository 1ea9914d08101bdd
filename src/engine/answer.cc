#include "engine/answer.h"

namespace tessera {

Answer::Piece Answer::push(Sequence& sequence, std::span<const Token> tokens) {
  Piece piece;
  for (const Token token : tokens) {
    const size_t index = taken_++;
    // A model may have more logits than the tokenizer has tokens.
    const bool known = static_cast<size_t>(token) < tokenizer_.vocabulary_size();
    if (known) piece.text += text_.push(token);
    // What ends an answer is no part of it.
    const bool in_text =
        known && (!tokenizer_.is_end_of_generation(token) || sequence.request.ignore_eos);
    if (in_text && index < sequence.logprobs.size())
      piece.logprobs.push_back(std::move(sequence.logprobs[index]));
    if (text_.stopped()) break;
  }
  return piece;
}

}  // namespace tessera
