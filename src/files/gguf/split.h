// Names of split GGUF files: "<prefix>-00001-of-00003.gguf", counted from 1, five digits.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

namespace tessera::gguf {

struct SplitName {
  std::string prefix;  // with its folder
  size_t number;       // 1 to count
  size_t count;        // 1 to kMaxSplits
};

// nullopt if the path is not named as a split file is.
std::optional<SplitName> parse_split_name(const std::filesystem::path& path);

std::filesystem::path split_path(const std::string& prefix, size_t number, size_t count);

}  // namespace tessera::gguf
