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

#include "formats/quantized_block.h"

namespace tessera {

// A format is an object that lives as long as the program: one is the other if the addresses are.
struct Format {
  std::string_view name;    // as people write it: "F16", "Q4_K", "IQ4_NL"
  uint32_t block_elements;  // elements in a block; a row is a whole number of blocks
  uint32_t block_bytes;

  // What a block is made of: all that is needed to decode it, and to compute with it. nullptr if
  // there are no scales and codes (F32, F16, BF16): then `decode_values` does what decode() says.
  const QuantizedBlock* quantized = nullptr;
  void (*decode_values)(const std::byte* src, std::span<float> dst) = nullptr;

  // nullptr of formats that are only read. Encodes src.size() elements, a multiple of
  // block_elements: round to nearest, with a search for the scales that minimizes the squared
  // error. `importance` weighs the error of each element (empty: each format's own default
  // weighting); its size is src.size().
  //
  // Block formats: NaN and infinity are an Error; values beyond what an f16 scale can represent
  // saturate; what lies far below it becomes zero. The default weighting is uniform.
  // F32, F16, BF16 keep NaN and infinities, which they have codes for; finite values stay finite.
  void (*encode)(std::span<const float> src, std::byte* dst,
                 std::span<const float> importance) = nullptr;

  // Decodes dst.size() elements, a multiple of block_elements, from
  // dst.size() / block_elements * block_bytes bytes. Every bit pattern decodes to something.
  void decode(const std::byte* src, std::span<float> dst) const;

  // False for formats that are known by name and size but cannot be decoded (Q8_K, I32, ...).
  bool supported() const { return quantized != nullptr || decode_values != nullptr; }

  // Bytes of a row of `elements`; throws Error if that is not a whole number of blocks.
  uint64_t row_bytes(uint64_t elements) const;
};

// Every known format: the supported ones, those known by size only, then those that were added.
std::span<const Format* const> all_formats();

// Makes a format known under its name; it must outlive every use. An Error if the name is taken.
// Not while other threads look formats up.
void add_format(const Format& format);

// nullptr if there is none. Names are matched without regard to case.
const Format* find_format(std::string_view name);

// The same, but an unknown or unsupported format is an Error that lists what is supported.
const Format& require_format(std::string_view name);

// The formats that come with Tessera, each defined in a file of its own or with its kin.
extern const Format kF32, kF16, kBF16, kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ8_0, kQ2_K, kQ3_K, kQ4_K,
    kQ5_K, kQ6_K, kIQ4_NL, kIQ4_XS, kMXFP4, kNVFP4, kTQ1_0, kTQ2_0, kQ1_0, kQ2_0;
// Read only: nothing is encoded to them.
extern const Format kIQ1_S, kIQ1_M, kIQ2_XXS, kIQ2_XS, kIQ2_S, kIQ3_XXS, kIQ3_S;

}  // namespace tessera
