// One text being generated.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cache/block_table.h"
#include "decode/drafter.h"
#include "decode/sampler.h"

namespace tessera {

enum class FinishReason { kNone, kStop, kLength, kCancelled };
const char* to_string(FinishReason reason);  // OpenAI's words: "stop", "length", "cancelled"

struct Request {
  std::vector<Token> prompt;  // at least one token
  int max_tokens = 0;         // 0: none are generated
  bool ignore_eos = false;
  SamplingOptions sampling;
  std::string decoder = "plain";
  // Receives the tokens of each step; returning false stops the sequence (a stop string was seen).
  std::function<bool(std::span<const Token>)> on_tokens;
};

struct SequenceStatistics {
  int cached_tokens = 0;  // of the prompt, found in the prefix cache
  int steps = 0;          // forward passes that gave tokens
  int drafted = 0, accepted = 0;
};

struct Sequence {
  Sequence(Request r, BlockPool& pool)
      : request(std::move(r)),
        tokens(request.prompt),
        sampler(request.sampling),
        drafter(make_drafter(request.decoder)),
        blocks(pool) {}

  int size() const { return static_cast<int>(tokens.size()); }
  size_t prompt_size() const { return request.prompt.size(); }
  int generated() const { return static_cast<int>(tokens.size() - request.prompt.size()); }
  // Tokens whose keys and values are still missing; at least the last one, whose logits give the
  // next.
  int pending() const { return size() - computed; }

  Request request;
  std::vector<Token> tokens;  // prompt and answer
  int computed = 0;           // leading tokens whose keys and values are in the cache
  Sampler sampler;
  std::unique_ptr<Drafter> drafter;
  BlockTable blocks;
  bool admitted = false;  // at least once; preemption does not take it back
  FinishReason finished = FinishReason::kNone;
  SequenceStatistics statistics;
};

}  // namespace tessera
