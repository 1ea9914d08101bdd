// Writes panels. Scalar: it runs once for each weight, and the loops over 64 bytes vectorize by
// themselves.
#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

#include "backend/cpu/layout.h"

namespace tessera::cpu {
namespace {

using QuadVectors = uint8_t[8][kQuadBytes];  // the codes of 32 rows x 32 columns, a byte each

// --- bit planes; each returns the bytes it wrote

uint8_t* pack_2bit(const QuadVectors& quads, int shift, uint8_t* out) {
  for (int v = 0; v < 2; ++v, out += kQuadBytes) {
    for (int i = 0; i < kQuadBytes; ++i) {
      int byte = 0;
      for (int j = 0; j < 4; ++j) byte |= ((quads[v + 2 * j][i] >> shift) & 3) << (2 * j);
      out[i] = static_cast<uint8_t>(byte);
    }
  }
  return out;
}

uint8_t* pack_4bit(const QuadVectors& quads, uint8_t* out) {
  for (int v = 0; v < 4; ++v, out += kQuadBytes) {
    for (int i = 0; i < kQuadBytes; ++i) {
      out[i] = static_cast<uint8_t>((quads[v][i] & 15) | ((quads[v + 4][i] & 15) << 4));
    }
  }
  return out;
}

uint8_t* pack_1bit(const QuadVectors& quads, int shift, uint8_t* out) {
  for (int i = 0; i < kQuadBytes; ++i) {
    int byte = 0;
    for (int v = 0; v < 8; ++v) byte |= ((quads[v][i] >> shift) & 1) << v;
    out[i] = static_cast<uint8_t>(byte);
  }
  return out + kQuadBytes;
}

uint8_t* pack_codes(CodeKind kind, const QuadVectors& quads, uint8_t* out) {
  switch (kind) {
    case CodeKind::k2:
      return pack_2bit(quads, 0, out);
    case CodeKind::k3:
      return pack_1bit(quads, 2, pack_2bit(quads, 0, out));
    case CodeKind::k4:
      return pack_4bit(quads, out);
    case CodeKind::k5:
      return pack_1bit(quads, 4, pack_4bit(quads, out));
    case CodeKind::k6:
      return pack_2bit(quads, 4, pack_4bit(quads, out));
    case CodeKind::k8:
      std::memcpy(out, quads, sizeof(quads));
      return out + sizeof(quads);
  }
  return out;
}

// --- scales

uint8_t* pack_f16(const BlockParts* rows, uint16_t BlockParts::*field, uint8_t* out) {
  for (int r = 0; r < kPanelRows; ++r) std::memcpy(out + 2 * r, &(rows[r].*field), 2);
  return out + 2 * kPanelRows;
}

// To the nearest of kScaleBits.
float round_scale(float scale) {
  constexpr uint32_t kDropped = 24 - kScaleBits;
  auto bits = std::bit_cast<uint32_t>(scale);
  if ((bits & 0x7f800000u) == 0x7f800000u) return scale;  // infinities and NaN
  bits += (1u << (kDropped - 1)) - 1 + ((bits >> kDropped) & 1);
  return std::bit_cast<float>(bits & ~((1u << kDropped) - 1));
}

uint8_t* pack_f32_scales(const BlockParts* rows, uint8_t* out) {
  for (int r = 0; r < kPanelRows; ++r) {
    const float scale = round_scale(rows[r].scale);
    std::memcpy(out + 4 * r, &scale, 4);
  }
  return out + 4 * kPanelRows;
}

uint8_t* pack_f32_mins(const BlockParts* rows, uint8_t* out) {
  for (int r = 0; r < kPanelRows; ++r) std::memcpy(out + 4 * r, &rows[r].min, 4);
  return out + 4 * kPanelRows;
}

uint8_t* pack_bytes(const BlockParts* rows, int8_t (BlockParts::*field)[16], int count,
                    uint8_t* out) {
  for (int j = 0; j < count; ++j) {
    for (int r = 0; r < kPanelRows; ++r) *out++ = static_cast<uint8_t>((rows[r].*field)[j]);
  }
  return out;
}

// Scales in the low half of a byte, mins in the high one.
uint8_t* pack_halves(const BlockParts* rows, uint8_t* out) {
  for (int j = 0; j < 16; ++j) {
    for (int r = 0; r < kPanelRows; ++r) {
      *out++ = static_cast<uint8_t>(rows[r].scales[j] | (rows[r].mins[j] << 4));
    }
  }
  return out;
}

uint8_t* pack_zeros(const BlockParts* rows, uint8_t* out) {
  for (int r = 0; r < kPanelRows; ++r) *out++ = rows[r].zero;
  return out;
}

// Those of blocks of `width` columns.
uint8_t* pack_scales(ScaleKind kind, const BlockParts* rows, int width, uint8_t* out) {
  switch (kind) {
    case ScaleKind::kF16:
      return pack_f16(rows, &BlockParts::d, out);
    case ScaleKind::kF16Min:
      return pack_f16(rows, &BlockParts::m, pack_f16(rows, &BlockParts::d, out));
    case ScaleKind::kF16Zero:
      return pack_zeros(rows, pack_f16(rows, &BlockParts::d, out));
    case ScaleKind::kF32:
      return pack_f32_scales(rows, out);
    case ScaleKind::kF32Min:
      return pack_f32_mins(rows, pack_f32_scales(rows, out));
    case ScaleKind::kF32Zero:
      return pack_zeros(rows, pack_f32_scales(rows, out));
    case ScaleKind::kE8M0:
      for (int r = 0; r < kPanelRows; ++r) *out++ = static_cast<uint8_t>(rows[r].d);
      return out;
    case ScaleKind::kE4M3:
      return pack_bytes(rows, &BlockParts::scales, width / 16, out);
    case ScaleKind::kK32:
      return pack_bytes(rows, &BlockParts::scales, 8, pack_f16(rows, &BlockParts::d, out));
    case ScaleKind::kK32Min:
      out = pack_f16(rows, &BlockParts::m, pack_f16(rows, &BlockParts::d, out));
      out = pack_bytes(rows, &BlockParts::scales, 8, out);
      return pack_bytes(rows, &BlockParts::mins, 8, out);
    case ScaleKind::kK16:
      return pack_bytes(rows, &BlockParts::scales, 16, pack_f16(rows, &BlockParts::d, out));
    case ScaleKind::kK16Min4:
      return pack_halves(rows, pack_f16(rows, &BlockParts::m, pack_f16(rows, &BlockParts::d, out)));
  }
  return out;
}

// --- sparse codes

// The codes of a chunk as bytes, in the order of quad vectors.
struct CodePlane {
  uint8_t codes[kChunkBlocks][kBlockCodes];
};

// Writes those that are not `zero`, and the mask that says which they are.
void pack_sparse(const Layout& layout, const CodePlane& plane, int blocks, uint8_t* out) {
  const auto zero = static_cast<uint8_t>(layout.zero_point);
  const int kept_blocks = layout.kept_blocks(blocks);
  alignas(64) QuadVectors kept[kChunkBlocks];
  uint8_t* next = &kept[0][0][0];
  std::memset(next, zero, sizeof(kept));
  uint8_t* mask = out + static_cast<size_t>(kept_blocks * code_vectors(layout.codes)) * kQuadBytes;
  const uint8_t* code = &plane.codes[0][0];
  for (int i = 0; i < blocks * kMaskBytes; ++i) {
    int bits = 0;
    for (int bit = 0; bit < 8; ++bit, ++code) {
      if (*code == zero) continue;
      bits |= 1 << bit;
      *next++ = *code;
    }
    mask[i] = static_cast<uint8_t>(bits);
  }
  for (int b = 0; b < kept_blocks; ++b) out = pack_codes(layout.codes, kept[b], out);
}

}  // namespace

int kept_codes(const Layout& layout, const std::byte* rows_begin, size_t row_bytes, int rows,
               int columns) {
  const Format& format = *layout.format;
  const int width = static_cast<int>(format.block_elements);
  BlockParts parts;
  int most = 0;
  for (int first = 0; first < columns; first += kSuperBlock) {
    const int end = std::min(columns, first + kSuperBlock);
    int count = 0;
    for (int r = 0; r < rows; ++r) {
      const auto* row = reinterpret_cast<const uint8_t*>(rows_begin) + r * row_bytes;
      for (int column = first; column < end; column += width) {
        format.quantized->split(row + static_cast<size_t>(column / width) * format.block_bytes,
                                parts);
        count += width - static_cast<int>(std::count(parts.codes, parts.codes + width,
                                                     static_cast<uint8_t>(layout.zero_point)));
      }
    }
    const int codes = std::min(kChunkBlocks, padded_blocks(columns) - first / kBlock) * kBlockCodes;
    most = std::max(most, (count * kChunkBlocks + codes - 1) / codes);
  }
  return std::max(1, most);
}

void repack_panel(const Layout& layout, const std::byte* rows_begin, size_t row_bytes, int rows,
                  int columns, std::byte* panel) {
  const auto split = layout.format->quantized->split;
  const int width = static_cast<int>(layout.format->block_elements);
  auto* chunk = reinterpret_cast<uint8_t*>(panel);
  uint8_t *codes = nullptr, *scales = nullptr;
  BlockParts parts[kPanelRows] = {};
  uint8_t row_codes[kPanelRows][kMostBlockElements];
  CodePlane plane;  // of a chunk of sparse codes
  for (BlockParts& missing : std::span(parts).subspan(static_cast<size_t>(rows)))
    std::memset(missing.codes, layout.zero_point, sizeof(missing.codes));
  int blocks = 0;                            // of the chunk
  const int step = std::max(width, kBlock);  // two blocks of 16 columns share a block of codes
  for (int first = 0; first < columns; first += step) {
    if (first % kSuperBlock == 0) {
      blocks = std::min(kChunkBlocks, padded_blocks(columns) - first / kBlock);
      if (layout.is_sparse()) std::memset(&plane, layout.zero_point, sizeof(plane));
      scales = chunk;
      codes = chunk + layout.scale_bytes(blocks);
      chunk += layout.chunk_bytes(blocks);
    }
    for (int part = 0; part < step; part += width) {
      const size_t block = static_cast<size_t>(first + part) / width * layout.format->block_bytes;
      for (int r = 0; r < rows; ++r) {
        split(reinterpret_cast<const uint8_t*>(rows_begin) + r * row_bytes + block, parts[r]);
      }
      for (int r = 0; r < kPanelRows; ++r) std::memcpy(row_codes[r] + part, parts[r].codes, width);
      scales = pack_scales(layout.scales, parts, width, scales);
    }
    for (int column = 0; column < step; column += kBlock) {
      alignas(64) QuadVectors quads;
      for (int v = 0; v < 8; ++v) {
        for (int r = 0; r < kPanelRows; ++r) {
          std::memcpy(&quads[v][4 * r], &row_codes[r][column + 4 * v], 4);
        }
      }
      if (layout.is_sparse()) {
        std::memcpy(plane.codes[(first + column) % kSuperBlock / kBlock], quads, sizeof(quads));
      } else {
        codes = pack_codes(layout.codes, quads, codes);
      }
    }
    const bool is_last = (first + step) % kSuperBlock == 0 || first + step >= columns;
    if (layout.is_sparse() && is_last) pack_sparse(layout, plane, blocks, codes);
  }
}

}  // namespace tessera::cpu
