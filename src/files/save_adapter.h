// Writing a LoRA adapter, as the kind that a path asks for; open_adapter() opens it again.
#pragma once

#include <filesystem>

#include "checkpoint/stored_adapter.h"

namespace tessera {

// Is it written as a file, not as a folder?
bool is_adapter_file(const std::filesystem::path& path);
// Error for an adapter that this kind of output has no form for, before it is learned.
void check_adapter(const StoredAdapter& adapter, const Checkpoint& model,
                   const std::filesystem::path& path);

// With the ending .gguf a GGUF file, as llama.cpp's converter writes it; else the folder that PEFT
// writes. Values in F32. Errors: see files/gguf/write_lora.h and files/huggingface/write_peft.h.
void save_adapter(const StoredAdapter& adapter, const Checkpoint& model,
                  const std::filesystem::path& path);

}  // namespace tessera
