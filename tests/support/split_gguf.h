// Split GGUF files, which other programs write and the reader must take.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_writer.h"
#include "files/gguf/metadata.h"

namespace tessera::test {

struct DeclaredTensor {
  std::string name;
  const Format* format;
  std::vector<uint64_t> shape;
};

// Writes the tensors into files of at most `max_tensors`, named as GGUF splits are; the first has
// the metadata.
void write_split_gguf(const GgufMetadata& metadata, const std::vector<DeclaredTensor>& tensors,
                      const std::filesystem::path& prefix, size_t max_tensors,
                      const CheckpointWriter::Fill& fill);

}  // namespace tessera::test
