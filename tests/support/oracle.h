// The oracle: a transformer written for nothing but being right. Double precision, every position
// of the whole text at once, no cache, no tiles, no shortcuts, weights decoded from the file as
// they are needed. It shares no code with src/model and src/backend: where the two agree, both have
// read the papers right.
#pragma once

#include <span>
#include <vector>

#include "base/token.h"
#include "files/gguf/reader.h"

namespace tessera {

// Row t holds the logits of the token that follows tokens[0 .. t]. `context` is the context the
// model is run for, which chooses LongRoPE's factors; 0 is the context it was trained for.
std::vector<std::vector<double>> oracle_logits(const GgufFile& file, std::span<const Token> tokens,
                                               int context = 0);

// D(P || Q) in nats between the two distributions' softmax. Infinite or NaN logits give NaN.
double kl_divergence(std::span<const double> reference_logits, std::span<const float> logits);

}  // namespace tessera
