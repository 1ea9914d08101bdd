// What decoders gain, on real prompts.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace tessera {

struct BenchPrompt {
  std::vector<Token> tokens;
  std::vector<Token> prediction = {};  // what its answer will resemble; may be empty
  std::shared_ptr<const ConstraintSource> constraint = {};  // what it must keep to; may be null
};
struct PromptSet {
  std::string name;
  std::vector<BenchPrompt> prompts;
};

struct DecoderBenchOptions {
  std::vector<std::string> decoders;  // plain ones beside them are measured anyway
  std::vector<double> temperatures = {0};
  int max_tokens = 200;
  int clients = 1;  // prompts that are answered at once; a set has several times as many
};

struct DecoderScore {
  std::string decoder, set;
  double temperature = 0;
  double tokens_per_second = 0;    // of all answers together, while all of them go on
  double speed_up = 0;             // over plain decoding of the same prompts
  double tokens_per_step = 0;      // of an answer
  std::vector<double> acceptance;  // of steps that drafted to a depth, those that got there
  int looped = 0;                  // answers that ended in a loop; left out of all figures
  int different = 0;               // answers that differ from plain decoding's: a bug
};

// For each set, temperature and decoder, plain decoding first. All decoders answer the same prompts
// by turns of a few tokens, so that they meet the machine in the same states: with one client a
// prompt, with several the whole set. Each has an engine of its own, that goes on learning.
// `make_engine` gives engines alike.
std::vector<DecoderScore> run_decoder_bench(
    const std::function<std::unique_ptr<Engine>()>& make_engine, const std::vector<PromptSet>& sets,
    const DecoderBenchOptions& options,
    const std::function<void(const DecoderScore&)>& on_score = {});

// What each decoder gains on each set, as bars beside plain decoding. `title`: the model.
std::string to_svg(const std::vector<DecoderScore>& scores, const std::string& title,
                   const std::string& machine);

}  // namespace tessera
