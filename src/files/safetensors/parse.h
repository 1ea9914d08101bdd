// The header of a safetensors file: which tensors lie where behind it.
// Specification: https://github.com/huggingface/safetensors#format
//
//   u64 header size | header: a JSON object, padded with spaces | the tensors' bytes
//   {"__metadata__": {"key": "text", ...},
//    "NAME": {"dtype": "BF16", "shape": [rows, columns], "data_offsets": [begin, end]}, ...}
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/stored_tensor.h"

namespace tessera::safetensors {

inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit
inline constexpr size_t kMaxNameBytes = 256, kMaxTensors = 100'000;

using Metadata = std::map<std::string, std::string>;  // "__metadata__"

// In the order of their bytes. A shape is that of the file backwards: its rows are what is
// contiguous; a scalar has one axis of 1. `file`: its name, for messages. Throws Error (one line:
// what, where, what was expected) for anything that the specification does not allow: tensors that
// overlap, leave holes or lie outside the file, names that come twice, shapes that do not fit their
// bytes, or dtypes that no format of Tessera has. `metadata`: gets what the header says beside
// them.
std::vector<StoredTensor> parse(std::span<const std::byte> bytes, std::string_view file,
                                Metadata* metadata = nullptr);

}  // namespace tessera::safetensors
