// Writes a LoRA adapter as PEFT keeps it: see peft.h.
#pragma once

#include <filesystem>

#include "checkpoint/stored_adapter.h"

namespace tessera::huggingface {

// A folder, adapter_config.json last: who finds that finds all. In F32, rows of B where PEFT has
// them. Error for a family whose queries, keys and values lie otherwise in Hugging Face's one
// tensor, and unless all matrices have one rank and one scale.
void write_peft(const StoredAdapter& adapter, const Checkpoint& model,
                const std::filesystem::path& folder);

}  // namespace tessera::huggingface
