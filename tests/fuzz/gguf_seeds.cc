// Writes seeds for gguf_fuzz into a folder: one valid file, and the malformed corpus.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "support/malformed_gguf.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: gguf_seeds FOLDER\n", stderr);
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  const auto write = [&](const std::string& name, const std::string& bytes) {
    std::ofstream(folder / name, std::ios::binary) << bytes;
  };
  write("valid", tessera::test::valid_gguf());
  for (const auto& [name, bytes] : tessera::test::malformed_gguf_corpus()) write(name, bytes);
}
