// Compute layouts of quantized weights: how 32 rows of a matrix, a *panel*, lie in memory.
//
// Many storage formats, few compute layouts. What a format's blocks are made of it says itself
// (formats/quantized_block.h): for each group of 16 to 256 columns of a row,
//
//   w = scale * (code - zero_point) + min
//   code: 2 .. 6 bits, 8 bits, or 4 bits through a table of bytes or of 16-bit integers
//
// and a layout is a choice of how codes and how scales are stored. A kernel knows scales by 16 or
// by 32 columns; a group of more is stored once and expanded to several of these. Repacking takes
// the memory of the file, within a few per cent; more only for a pair of codes and scales that no
// kernel is compiled for, whose codes are stored wider. It is value-exact but for two roundings,
// both of which are far below those of a sum in f32:
//
//   a scale of f32 keeps 22 bits of its mantissa (kScaleBits);
//   a codebook of floats that are no small integers times a power of two (NF4) becomes 16-bit
//   integers: within 2^-16 of the largest level.
//
//   panel = chunks of 256 columns, the last one of what is left; chunk = [scales][codes], each
//   padded to 64 bytes: a kernel reads one stream from end to end
//
// Codes. For a group of 4 columns, a *quad vector* holds 32 rows x 4 columns = 128 bytes: two
// AVX-512 vectors, four AVX2 vectors, eight NEON vectors; lane r of the 4 x int8 dot is row r. A
// block of 32 columns is 8 quad vectors. Codes of fewer than 8 bits share bytes as *bit planes*, so
// that shift and mask give whole quad vectors and no bits cross a byte:
//
//   2 bits: 2 vectors; vector v holds quads v, v+2, v+4, v+6 at bits 0, 2, 4, 6
//   4 bits: 4 vectors; vector v holds quad v in the low nibbles, quad v+4 in the high ones
//   8 bits: 8 vectors
//   3 bits: a 2-bit plane, then the third bit: 1 vector with quad v at bit v
//   5 bits: a 4-bit plane, then the fifth bit, likewise
//   6 bits: a 4-bit plane, then a 2-bit plane with the two high bits
//
// Sparse codes. Where at least half or so of a matrix is zero, pruned to 2:4 say, a chunk stores
// the codes of the other half alone, one after the other in the order that they would have as
// bytes, and then a mask: a bit for each of its elements, 0: zero. Kernels find chunks by counting,
// so all of a matrix have room for as many codes as the fullest one needs, in eighths
// (Layout::kept). Any pattern will do; those of equally many zeros in any 32 rows x 256 columns
// waste nothing: N:M, SparseGPT's halves of 128 columns, 4 of 8 blocks.
//
//   bits of a weight, pruned to a half: codes / 2 + 1 + scales; Q8_0 5.5 of 8.5, Q5_0 4 of 5.5
//
// Scales. Each entry is a row of 32 values, one for each row of the panel: see ScaleKind.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "formats/format.h"

namespace tessera::cpu {

inline constexpr int kPanelRows = 32;
inline constexpr int kBlock = 32;        // columns that share an activation scale
inline constexpr int kSuperBlock = 256;  // columns of a k-quant's block, and of a kernel's chunk
inline constexpr int kChunkBlocks = kSuperBlock / kBlock;
// Blocks of a row of weights or activations: an even number, the last one perhaps of zeros.
constexpr int padded_blocks(int columns) {
  return (columns / kBlock + 1) / 2 * 2;
}
inline constexpr int kQuadBytes = kPanelRows * 4;
inline constexpr int kBlockCodes = kPanelRows * kBlock;
inline constexpr int kMaskBytes = kBlockCodes / 8;  // of a block of sparse codes

enum class CodeKind : uint8_t { k2, k3, k4, k5, k6, k8 };  // bits of a code
// Vectors of kQuadBytes that a block's codes take.
constexpr int code_vectors(CodeKind kind) {
  constexpr int kVectors[] = {2, 3, 4, 5, 6, 8};
  return kVectors[static_cast<int>(kind)];
}

enum class ScaleKind : uint8_t {
  // By the columns of a group, Layout::group:
  kF16,      // scale f16
  kF16Min,   // scale f16, min f16
  kF16Zero,  // scale f16, zero u8; min = -scale zero
  kF32,      // scale f32
  kF32Min,   // scale f32, min f32
  kF32Zero,  // scale f32, zero u8; min = -scale zero
  kE8M0,     // by 32 columns: exponent e, scale 2^(e - 128)
  kE4M3,     // by 16 columns: scale a float of 4 exponent and 3 mantissa bits
  kK32,      // by 256: d f16; then by 32: s int8; scale = d s
  kK32Min,   // by 256: d, dmin f16; then by 32: s int8; then by 32: m int8; scale = d s,
             // min = -dmin m
  kK16,      // by 256: d f16; then by 16: s int8; scale = d s
  kK16Min4,  // by 256: d, dmin f16; then by 16: s (low nibble), m (high nibble)
};

constexpr bool has_zero(ScaleKind kind) {
  return kind == ScaleKind::kF16Zero || kind == ScaleKind::kF32Zero;
}
// A min meets the kernel, wherever it comes from.
constexpr bool has_min(ScaleKind kind) {
  return has_zero(kind) || kind == ScaleKind::kF16Min || kind == ScaleKind::kF32Min ||
         kind == ScaleKind::kK32Min || kind == ScaleKind::kK16Min4;
}
// Of the kinds by group: bytes that a group takes.
constexpr int group_bytes(ScaleKind kind) {
  const bool f32 =
      kind == ScaleKind::kF32 || kind == ScaleKind::kF32Min || kind == ScaleKind::kF32Zero;
  const int scale = f32 ? 4 : 2;
  return scale + (has_zero(kind) ? 1 : has_min(kind) ? scale : 0);
}
// Significant bits of a stored scale of f32: then its product with a kernel's kMagic is exact.
inline constexpr int kScaleBits = 22;

// Levels of a codebook become byte codes, which kernels look up: level + kLevelZero. A level of 16
// bits is 256 * (code - kLevelZero) + low code.
inline constexpr int kLevelZero = 128;
using CodeTable = std::array<uint8_t, 16>;

enum class Lookup : uint8_t {
  kNone,   // codes are as stored
  kTable,  // codes are table[stored code]
  kWide,   // of 16 bits, in table and low_table
};

struct Layout {
  const Format* format;
  CodeKind codes;
  ScaleKind scales;
  int scale_columns;  // of a kernel's scale: 16 or 32
  int group;          // columns that share a stored scale: a multiple of them
  int zero_point;
  float unit;  // every stored scale is multiplied with it
  Lookup lookup;
  alignas(16) CodeTable table, low_table;
  // Of sparse codes: blocks of codes that a chunk of 8 blocks stores; 8: all of them, and no mask.
  int kept = kChunkBlocks;

  bool is_sparse() const { return kept < kChunkBlocks; }
  // ... and that one of `blocks` blocks stores.
  int kept_blocks(int blocks) const { return (blocks * kept + kChunkBlocks - 1) / kChunkBlocks; }
  // Has a code that stands for zero whatever the scale, and a kernel for it.
  bool may_be_sparse() const {
    return lookup == Lookup::kNone && !has_min(scales) && scale_columns == 32;
  }

  // Of a chunk of `blocks` (1 .. 8) blocks.
  size_t code_bytes(int blocks) const;
  size_t scale_bytes(int blocks) const;
  size_t chunk_bytes(int blocks) const { return code_bytes(blocks) + scale_bytes(blocks); }

  size_t panel_bytes(int columns) const {
    const int blocks = padded_blocks(columns), rest = blocks % kChunkBlocks;
    return static_cast<size_t>(blocks / kChunkBlocks) * chunk_bytes(kChunkBlocks) +
           (rest > 0 ? chunk_bytes(rest) : 0);
  }
};

// Nothing if the format is not quantized, or of parts that no kernel of this backend takes.
std::optional<Layout> find_layout(const Format& format);

// The least Layout::kept that has room for a panel of these rows, of a layout that has a zero code.
int kept_codes(const Layout& layout, const std::byte* rows_begin, size_t row_bytes, int rows,
               int columns);

// Repacks `rows` (1 .. 32) rows of `row_bytes` bytes each into one panel. Missing rows become
// zeros.
void repack_panel(const Layout& layout, const std::byte* rows_begin, size_t row_bytes, int rows,
                  int columns, std::byte* panel);

}  // namespace tessera::cpu
