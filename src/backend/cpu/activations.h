// Activations quantized to int8, as the dot kernel wants them.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "backend/cpu/layout.h"
#include "base/host_tensor.h"

namespace tessera::cpu {

inline constexpr int kTileRows = 4;

// See dot_kernels-inl.h.
inline constexpr float kMagic = 0x1.8p23f;
inline constexpr int32_t kMagicBits = 0x4b400000;

// Rows of activations, each quantized alone in blocks of 32 columns: code = round(x / scale) in
// -127 .. 127, scale = max|x| / 127. Rows lie in *tiles* that the dot kernel takes at once: 4 rows
// each, the last one 1 or 4 (surplus rows are zero). Tile t begins at row 4 t; inside, rows of a
// block are neighbours, and there are padded_blocks(columns) blocks:
//
//   codes [block][row][32]    scales [block][row]
//   sums [block][row][2], each of the codes of 16 columns
struct QuantizedRows {
  int rows = 0, columns = 0;
  int8_t* codes = nullptr;
  float* scales = nullptr;
  int32_t* sums = nullptr;

  int tiles() const { return (rows + kTileRows - 1) / kTileRows; }
  int tile_rows(int tile) const { return rows - tile * kTileRows == 1 ? 1 : kTileRows; }
  int padded_rows() const {
    return rows == 0 ? 0 : (tiles() - 1) * kTileRows + tile_rows(tiles() - 1);
  }
};

// Quantizes the rows of x that are in `tile`. A row with an infinity or a NaN in a block gets a NaN
// scale.
void quantize_tile(const HostTensor& x, int tile, const QuantizedRows& rows);

// What a scale's columns add besides scale * dot(codes): by tile, [scale_columns][row]. Bits of
//   float: activation scale * sum, to meet the min of formats that have one;
//   int32: kMagicBits - zero_point * sum of the others, which the integer dot starts from.
void make_terms(const Layout& layout, const QuantizedRows& rows, int tile, int32_t* terms);

}  // namespace tessera::cpu
