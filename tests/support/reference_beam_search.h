// Beam search as plainly as it can be written: whole texts in lists, each read anew in every step,
// all continuations sorted. For tests of the real one (decode/beam_search.h, engine/beam_group.h).
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "engine/sequence.h"

namespace tessera::test {

struct ReferenceBeam {
  std::vector<Token> answer;
  double score = 0;
};

// The answers that transformers would return to `request`, the best first. logits_of(text): of what
// comes behind the text. is_end(token): the token ends an answer; `ends`: so many tokens do.
// `most_tokens`: the greatest length of an answer.
std::vector<ReferenceBeam> reference_beam_search(
    const Request& request, int most_tokens, int ends, const std::function<bool(Token)>& is_end,
    const std::function<std::vector<float>(const std::vector<Token>&)>& logits_of);

}  // namespace tessera::test
