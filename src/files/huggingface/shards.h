// Which safetensors files hold a folder's tensors.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::huggingface {

inline constexpr std::string_view kIndexName = "model.safetensors.index.json";

struct Shards {
  std::vector<std::filesystem::path> paths;  // in the order of the index
  std::vector<std::string> names;  // tensors that the index says are there; empty: no index
};

// Of model.safetensors.index.json, else model.safetensors, else the one safetensors file there is.
// Error for an index that names files outside of the folder, and for a folder without safetensors;
// PyTorch's pickles are named, and never opened.
Shards find_shards(const std::filesystem::path& folder);

// The names of the files that an index tells of, sorted. Error if one lies outside of the folder.
std::vector<std::string> shard_names(const std::filesystem::path& index);

// A file of a repository, at its top, that is part of a model in this form; weights not included.
bool is_folder_file(std::string_view name);

// Does the folder's config.json have a model_type, as whole models do, and parts of one do not?
bool names_a_model(const std::filesystem::path& folder);

}  // namespace tessera::huggingface
