// Compressed models beside the one they were made of: size, quality, speed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/session.h"
#include "evaluate/divergence.h"
#include "evaluate/scored_text.h"

namespace tessera {

struct CompareOptions {
  ScoreOptions score;
  int generate = 64;  // tokens to decode one by one for the speed; 0: it is not measured
  // What the reference's logits may take. A text that has more of them is read in rounds, each of
  // which loads every model again.
  size_t logit_bytes = size_t{1} << 30;
};

struct ComparedModel {
  std::string name;
  uint64_t bytes = 0;  // of its tensors, as they are stored
  double bits_per_weight = 0;
  Divergence divergence;         // from the reference; of the reference itself, all zero
  double tokens_per_second = 0;  // of decoding
};

struct Comparison {
  ComparedModel reference;
  std::vector<ComparedModel> models;
};

// `names`: the reference's, then those of the models; load(i) loads the i-th of them. One of them
// is in memory at a time, beside the reference's logits, so that it computes them once. Errors:
// those of measure_divergence(); a model of another vocabulary.
Comparison compare_models(const std::vector<std::string>& names,
                          const std::function<Session(size_t)>& load, std::string_view text,
                          const CompareOptions& options);

// Which models are on the Pareto front: none is as small and nearer to the reference, or as near
// and smaller.
std::vector<bool> pareto_front(const std::vector<ComparedModel>& models);

// Mean KL divergence against size, the front as a line. `title`: the reference.
std::string to_svg(const Comparison& comparison, const std::string& title);

}  // namespace tessera
