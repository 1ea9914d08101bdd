// Number formats: how a tensor's values lie in a file, block by block.
//
// A format is a fixed-size block of bytes that holds a fixed number of consecutive elements of
// one row. Everything here is scalar and value-exact: it is the definition. The fast paths are
// the compute layouts in backend/, which are repacked from these bytes.
// Source of the block layouts: the GGUF specification and ggml's type list.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tessera {

struct Format {
  std::string_view name;    // as people write it: "F16", "Q4_K", "IQ4_NL"
  uint32_t ggml_type;       // the type id in a GGUF file
  uint32_t block_elements;  // elements in a block; a row is a whole number of blocks
  uint32_t block_bytes;

  // Decodes dst.size() elements, a multiple of block_elements, from
  // dst.size() / block_elements * block_bytes bytes. Every bit pattern decodes to something.
  void (*decode)(const std::byte* src, std::span<float> dst);

  // Encodes src.size() elements, a multiple of block_elements: round to nearest, with a search
  // for the scales that minimizes the squared error. `importance` weighs the error of each
  // element (empty: each format's own default weighting); its size is src.size().
  void (*encode)(std::span<const float> src, std::byte* dst, std::span<const float> importance);

  // False for formats that are known by name and size but cannot be decoded yet (IQ1_S, TQ1_0, ...).
  bool supported() const { return decode != nullptr; }

  // Bytes of a row of `elements`; throws Error if that is not a whole number of blocks.
  uint64_t row_bytes(uint64_t elements) const;
};

// Every known format, supported or not, in the order of ggml_type.
std::span<const Format> all_formats();

// nullptr if there is none. Names are matched without regard to case.
const Format* find_format(uint32_t ggml_type);
const Format* find_format(std::string_view name);

// The formats that code refers to by name.
extern const Format kF32, kF16, kBF16, kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ8_0, kQ2_K, kQ3_K, kQ4_K, kQ5_K,
    kQ6_K, kIQ4_NL, kIQ4_XS, kMXFP4;

}  // namespace tessera
