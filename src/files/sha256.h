// SHA-256 of a file, as 64 lowercase hexadecimal digits.
#pragma once

#include <filesystem>
#include <string>

namespace tessera {

// Throws Error if the file cannot be read.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace tessera
