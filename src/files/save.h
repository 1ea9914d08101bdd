// Writing a checkpoint of the kind that a path asks for.
#pragma once

#include <filesystem>
#include <memory>

#include "checkpoint/checkpoint.h"

namespace tessera {

// Is a Hugging Face folder meant? One that is there, or a name that ends in "/".
bool is_folder_name(const std::filesystem::path& path);

// A folder, where that is meant; else a GGUF file. `model` must outlive it.
std::unique_ptr<CheckpointWriter> make_writer(const Checkpoint& model,
                                              const std::filesystem::path& path);

}  // namespace tessera
