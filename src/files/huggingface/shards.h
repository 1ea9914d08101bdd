// Which safetensors files hold a folder's tensors.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace tessera::huggingface {

struct Shards {
  std::vector<std::filesystem::path> paths;  // in the order of the index
  std::vector<std::string> names;            // tensors that the index says are there; empty: no index
};

// Of model.safetensors.index.json, else model.safetensors, else the one safetensors file there is.
// Error for an index that names files outside of the folder, and for a folder without safetensors;
// PyTorch's pickles are named, and never opened.
Shards find_shards(const std::filesystem::path& folder);

}  // namespace tessera::huggingface
