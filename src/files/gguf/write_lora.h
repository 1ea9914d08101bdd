// Writes a LoRA adapter as llama.cpp keeps it: see lora.h.
#pragma once

#include <filesystem>

#include "checkpoint/stored_adapter.h"

namespace tessera::gguf {

// In F32. Error unless all matrices have one scale times rank, which is all that such a file says.
void write_lora(const StoredAdapter& adapter, const Checkpoint& model,
                const std::filesystem::path& path);

}  // namespace tessera::gguf
