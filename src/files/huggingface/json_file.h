// The JSON files of a Hugging Face folder: config.json, model.safetensors.index.json, ...
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/printable.h"

namespace tessera::huggingface {

inline constexpr size_t kMaxJsonBytes = size_t{256} << 20;
inline constexpr int kMaxJsonDepth = 64;
// The largest tokenizer.json known, of half a million merges, has 2.4 million.
inline constexpr size_t kMaxJsonValues = 8'000'000;

// The whole of a text file. Error if it cannot be read, is no regular file or larger than
// `max_bytes`.
std::string read_text(const std::filesystem::path& path, size_t max_bytes = kMaxJsonBytes);

// The object in a file. Error (with the file's name) for what is no JSON object, is nested more
// deeply than kMaxJsonDepth, has more than kMaxJsonValues values, or says one key twice. Python's
// Infinity is read as null.
nlohmann::json read_json(const std::filesystem::path& path, size_t max_bytes = kMaxJsonBytes);
// The same of a file that need not be there.
std::optional<nlohmann::json> find_json(const std::filesystem::path& path,
                                        size_t max_bytes = kMaxJsonBytes);

// The list in a file that need not be there, read as strictly.
std::optional<nlohmann::json> find_json_list(const std::filesystem::path& path);

// A path in a message.
inline std::string shown(const std::filesystem::path& path) {
  return printable(path.string(), 400);
}

// What `read` returns. What it throws names the file.
template <typename Read>
auto in_file(const std::filesystem::path& path, const Read& read) {
  try {
    return read();
  } catch (const Error& error) {
    fail("'{}': {}", shown(path), error.what());
  }
}

}  // namespace tessera::huggingface
