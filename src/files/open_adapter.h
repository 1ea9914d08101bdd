// Opening a LoRA adapter of whatever kind.
#pragma once

#include <filesystem>
#include <string>

#include "checkpoint/stored_adapter.h"

namespace tessera {

// A folder that PEFT wrote or its adapter_model.safetensors, or a GGUF file of llama.cpp's
// converter, for `model`. Throws Error (one line: what, where, what was expected) if it is
// malformed, does not fit the model, or asks for what is not supported. `reference` may also be
// one of the hub or a URL that was pulled (model_reference.h).
StoredAdapter open_adapter(const std::filesystem::path& reference, const Checkpoint& model);

// What people would call it: the name of the file, or of the folder if the file's says nothing.
std::string adapter_name(const std::filesystem::path& path);

}  // namespace tessera
