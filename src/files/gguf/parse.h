// One GGUF file's header, parsed and checked. Joining split files is reader.cc's work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "checkpoint/stored_tensor.h"
#include "files/gguf/metadata.h"

namespace tessera::gguf {

struct Header {
  uint32_t version = 0;
  uint64_t alignment = 0;
  GgufMetadata metadata;
  std::vector<StoredTensor> tensors;  // bytes point into the parsed file, checked to lie inside it
};

// Parses a whole file that lies in memory at an address aligned to at least 8. Reads the header
// only. `file` names it in errors. Throws Error (one line) for anything malformed; needs memory in
// proportion to bytes.size() at most, whatever the counts in the file say.
Header parse(std::span<const std::byte> bytes, std::string_view file);

}  // namespace tessera::gguf
