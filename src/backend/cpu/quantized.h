// Quantized weights times activations quantized to int8.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "backend/cpu/layout.h"

namespace tessera::cpu {

inline constexpr int kTileRows = 12;

// Rows of activations, each quantized alone in blocks of 32 columns: code = round(x / scale) in
// -127 .. 127, scale = max|x| / 127. Rows lie in *tiles* that the dot kernel takes at once: 12 rows
// each, the last one 1, 2, 4 or 8 (surplus rows are zero). Tile t begins at row 12 t; inside, rows
// of a block are neighbours:
//
//   codes [block][row][32]    scales [block][row]    sums [block][row][2]: of the codes of 16
//   columns
struct QuantizedRows {
  int rows = 0, columns = 0;
  int8_t* codes = nullptr;
  float* scales = nullptr;
  int32_t* sums = nullptr;

  int tiles() const { return (rows + kTileRows - 1) / kTileRows; }
  int tile_rows(int tile) const {
    const int left = rows - tile * kTileRows;
    return left >= 9 ? kTileRows : left >= 5 ? 8 : left >= 3 ? 4 : left;
  }
  int padded_rows() const {
    return rows == 0 ? 0 : (tiles() - 1) * kTileRows + tile_rows(tiles() - 1);
  }
};

// Quantizes the rows of x that are in `tile`. A row with an infinity or a NaN in a block gets a NaN
// scale.
void quantize_tile(const Tensor& x, int tile, const QuantizedRows& rows);

// What a scale's columns add besides scale * dot(codes): by tile, [scale_columns][row]. Bits of
//   float: activation scale * sum, to meet the min of formats that have one;
//   int32: -zero_point * sum of the others, which the integer dot starts from.
void make_terms(const Layout& layout, const QuantizedRows& rows, int tile, int32_t* terms);

// sums[row - 12 * first_tile][0 .. 15] = the dots of a panel with the rows of tiles [first_tile,
// end_tile).
void multiply_panel(const Layout& layout, const std::byte* panel, const QuantizedRows& rows,
                    const int32_t* terms, int first_tile, int end_tile, float (*sums)[kPanelRows]);

}  // namespace tessera::cpu
