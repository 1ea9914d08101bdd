// Opening a checkpoint of whatever kind.
#pragma once

#include <filesystem>
#include <memory>

#include "checkpoint/checkpoint.h"

namespace tessera {

// A GGUF file or any member of a split one; a Hugging Face folder, or its index, or one of its
// safetensors files; a folder of one GGUF model; Medusa heads in safetensors. Throws Error (one
// line: what, where, what was expected) for anything else or malformed.
std::shared_ptr<const Checkpoint> open_checkpoint(const std::filesystem::path& path);

}  // namespace tessera
