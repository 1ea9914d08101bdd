// Writing a model anew, with other tensors, as the kind of checkpoint that a path asks for.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_writer.h"
#include "files/huggingface/layouts/folder_formats.h"

namespace tessera {

using huggingface::FolderFormat, huggingface::find_folder_format, huggingface::folder_format_names;

// Is a Hugging Face folder meant? One that is there, or a name that ends in "/".
bool is_folder_name(const std::filesystem::path& path);

// Of a folder, where that is meant; else of a GGUF file. It says what `model` says, which must
// outlive it; the caller declares the tensors, by their written names. `quantized`: a folder's
// layout, or nullptr; Error if it is no folder that is meant.
std::unique_ptr<CheckpointWriter> make_writer(const Checkpoint& model,
                                              const std::filesystem::path& path,
                                              const FolderFormat* quantized = nullptr);

// What the writer is to call this tensor of `model`: GGUF's name (a folder's writer finds its own).
// Error if a model of this family has no place for it.
std::string written_name(const Checkpoint& model, const StoredTensor& tensor);
// ... as a tensor of that layer. Error for one whose role is not known.
std::string written_name(const Checkpoint& model, const StoredTensor& tensor, int layer);

}  // namespace tessera
