// Speed of the three phases of inference, on random tokens.
#pragma once

#include <string>
#include <vector>

#include "model/model.h"

namespace tessera {

struct BenchOptions {
  std::vector<int> prompt = {512};    // pp<N>: read a prompt of N tokens
  std::vector<int> generate = {128};  // tg<N>: N steps of one token
  std::vector<int> verify;  // verify<N>: a step of N tokens, all of whose logits are wanted
  int repetitions = 3;      // after one that is not counted
  int depth = 0;            // tokens already in the context
  KvFormat kv_format = KvFormat::kF16;
};

inline constexpr int kVerifySteps = 16;  // that one repetition of verify<N> times

// Tokens of context that the options need. Error if the model has less.
int context_of(const BenchOptions& options, const Model& model);

struct BenchResult {
  std::string name;
  int tokens = 0;                   // of one repetition
  double tokens_per_second = 0;     // median of the repetitions
  double slowest = 0, fastest = 0;  // tokens per second
};

// on_result is called as each result is known.
std::vector<BenchResult> run_bench(Model& model, const BenchOptions& options,
                                   const std::function<void(const BenchResult&)>& on_result = {});

}  // namespace tessera
