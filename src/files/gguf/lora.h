// LoRA adapters as llama.cpp keeps them: a GGUF file with tensors "NAME.lora_a" and "NAME.lora_b"
// for a model's tensor NAME, and metadata general.type "adapter", adapter.type "lora",
// adapter.lora.alpha.
#pragma once

#include <filesystem>

#include "checkpoint/stored_adapter.h"

namespace tessera::gguf {

// Throws Error for anything malformed, and for what would change the answers and is not supported.
// Whether it fits a model is check_fits()'s to say, but for the architecture.
StoredAdapter open_lora(const std::filesystem::path& path, const Checkpoint& model);

}  // namespace tessera::gguf
