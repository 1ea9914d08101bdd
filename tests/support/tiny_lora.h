// LoRA adapters with random weights for tiny models, as the files that people have.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace tessera {

// The same spec always gives the same values, whatever the file.
struct TinyLora {
  uint64_t seed = 1;
  int rank = 4;
  float alpha = 6;
  bool is_stabilized = false;       // alpha / sqrt(rank)
  const Format* format = &kF32;     // of A and B
  float strength = 0.3f;            // of B A beside a matrix, at a scale of 1
  std::vector<TensorRole> roles{};  // that it is for; empty: all matrices that there are
};

// What PEFT writes: adapter_config.json and adapter_model.safetensors in `folder`, which is
// returned.
std::filesystem::path write_tiny_peft(const TinyLora& lora, const Checkpoint& model,
                                      const std::filesystem::path& folder);
// What llama.cpp's converter makes of it.
std::filesystem::path write_tiny_gguf_lora(const TinyLora& lora, const Checkpoint& model,
                                           const std::filesystem::path& path);
// The model as a GGUF file with adapters merged into it, by the scales of their uses, in F32.
std::filesystem::path write_merged_model(const Checkpoint& model,
                                         std::span<const std::pair<TinyLora, float>> adapters,
                                         const std::filesystem::path& path);

}  // namespace tessera
