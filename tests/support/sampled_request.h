// A request whose answer depends on its seed and has the length asked for.
#pragma once

#include <utility>
#include <vector>

#include "engine/engine.h"

namespace tessera {

inline Request sampled_request(std::vector<Token> prompt, int max_tokens, uint64_t seed = 1) {
  Request r;
  r.prompt = std::move(prompt);
  r.max_tokens = max_tokens;
  r.ignore_eos = true;
  r.sampling.temperature = 1;
  r.sampling.seed = seed;
  return r;
}

}  // namespace tessera
