// Writes a LoRA adapter as PEFT keeps it: see peft.h.
#pragma once

#include <filesystem>

#include "checkpoint/stored_adapter.h"

namespace tessera::huggingface {

// Error for what no folder has a form for: a family that Hugging Face does not have, a matrix that
// it has no name for, and queries, keys and values that lie otherwise in its one tensor.
void check_peft(const StoredAdapter& adapter, const Checkpoint& model);
// A folder, adapter_config.json last: who finds that finds all. In F32, rows of B where PEFT has
// them. Error for what check_peft() refuses, and unless all matrices have one rank and one scale.
void write_peft(const StoredAdapter& adapter, const Checkpoint& model,
                const std::filesystem::path& folder);

}  // namespace tessera::huggingface
