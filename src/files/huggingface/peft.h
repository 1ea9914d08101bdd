// LoRA adapters as Hugging Face's PEFT keeps them: adapter_model.safetensors, with tensors
// "base_model.model.MODULE.lora_A.weight" and ".lora_B.weight", and adapter_config.json beside it.
// https://huggingface.co/docs/peft/developer_guides/checkpoint
#pragma once

#include <filesystem>
#include <vector>

#include "checkpoint/stored_adapter.h"
#include "files/huggingface/peft_config.h"

namespace tessera::huggingface {

// `path`: the folder, or the safetensors file. As what opens whole folders does, it puts rows of B
// where `model`'s family has those of the matrix (Llama's queries and keys go in pairs). Throws
// Error for anything malformed, and by name for what would change the answers and is not supported.
// Whether it fits the model is check_fits()'s to say.
StoredAdapter open_peft(const std::filesystem::path& path, const Checkpoint& model);

// The same of what the files say.
std::vector<StoredLowRank> read_peft(const PeftConfig& config,
                                     const std::vector<StoredTensor>& tensors,
                                     const Checkpoint& model);

struct PeftFiles {
  std::filesystem::path config, tensors;
};
// Error if one of them is missing.
PeftFiles find_peft_files(const std::filesystem::path& path);

// Is there an adapter_config.json in this folder?
bool is_peft_folder(const std::filesystem::path& path);
// Such a folder that is no model's, or its adapter_model.safetensors?
bool is_peft(const std::filesystem::path& path);

}  // namespace tessera::huggingface
