// Which experts work on a row, and what each one's answer counts: a pure function of the row's
// scores.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tessera {

enum class Gating {
  kSoftmax,          // probabilities over all experts (Shazeer et al. 2017)
  kSigmoid,          // each for itself (DeepSeek-V3, 2024)
  kSoftmaxOfChosen,  // of those that were chosen by their scores, among themselves (gpt-oss, 2025)
};

struct Routing {
  Gating gating = Gating::kSoftmax;
  bool normalize = false;  // the weights of the chosen ones add up to 1
  float scale = 1.0f;      // of all weights
  // Of `groups` of as many experts each, those of the `groups_used` best may be chosen: by the sum
  // of a group's two best scores (DeepSeek-V3).
  int groups = 1, groups_used = 1;
};

struct ChosenExpert {
  int expert = 0;
  float weight = 0;
};

// Fills `chosen`, best first; of equal ones the first is better. `scores`: the router's, [experts].
// `correction`: added to what the experts are chosen by, not to what they are weighed by (the
// balancing without a loss of DeepSeek-V3); empty: none.
void choose_experts(const Routing& routing, std::span<const float> scores,
                    std::span<const float> correction, std::span<ChosenExpert> chosen);

// The rows of a step, sorted by expert: each expert multiplies its rows once.
struct ExpertRows {
  // Of expert e: rows[first[e]] to rows[first[e + 1] - 1], ascending.
  std::vector<int32_t> rows;
  std::vector<int32_t> first;  // [experts + 1]
  // Where in `rows` the choice number c of row r stands: places[r * used + c].
  std::vector<int32_t> places;
};
ExpertRows sort_by_expert(std::span<const ChosenExpert> chosen, int used, int experts);

}  // namespace tessera
