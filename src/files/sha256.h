// SHA-256, as 64 lowercase hexadecimal digits.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace tessera {

std::string sha256_of(std::span<const std::byte> bytes);

// Throws Error if the file cannot be read.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace tessera
