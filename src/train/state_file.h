// A training in a file, from which it goes on: a GGUF file of its own kind, whole or not there.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "train/training.h"

namespace tessera::train {

struct TrainingState {
  std::string identity;  // of what training
  int step = 0;
  LossCurve curve;
};

// `values`: of each parameter its own, then its moments.
void write_state(const TrainingState& state, std::span<const std::span<const float>> values,
                 const std::filesystem::path& path);

struct StoredTraining {
  TrainingState state;
  std::vector<std::vector<float>> values;
};
// Error for a file that is malformed, or no state of a training.
StoredTraining read_state(const std::filesystem::path& path);

}  // namespace tessera::train
