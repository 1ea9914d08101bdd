// A training in a file, from which it goes on: a GGUF file of its own kind, whole or not there.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "train/training.h"

namespace tessera::train {

struct TrainingState {
  std::string identity;  // of what training
  int step = 0;
  LossCurve curve;
  std::vector<std::vector<float>> values;  // of each parameter: its own, then its moments
};

void write_state(const TrainingState& state, const std::filesystem::path& path);
// Error for a file that is malformed, or no state of a training.
TrainingState read_state(const std::filesystem::path& path);

}  // namespace tessera::train
