// A training in a file, from which it goes on: a GGUF file of its own kind, whole or not there.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "train/training.h"

namespace tessera::train {

struct TrainingState {
  std::string identity;  // of what training
  int step = 0;
  LossCurve curve;
};

// `memory`: of each parameter its values, then what the optimizer knows of it, as they lie in
// memory.
void write_state(const TrainingState& state, std::span<const std::span<std::byte>> memory,
                 const std::filesystem::path& path);

// Error for a file that is malformed, or no state of a training.
TrainingState read_state(const std::filesystem::path& path);
// Fills the memory from there. Error for a file that does not hold it.
void read_memory(const std::filesystem::path& path, std::span<const std::span<std::byte>> memory);

}  // namespace tessera::train
