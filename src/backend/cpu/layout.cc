// How each storage format falls apart into codes and scales. Block layouts: ggml's block_q4_0 and
// its kin.
#include "backend/cpu/layout.h"

#include <cstring>

namespace tessera::cpu {
namespace {

// The 16 levels of IQ4_NL and IQ4_XS (llama.cpp's kvalues_iq4nl), plus 128.
constexpr uint8_t kIq4Levels[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                    129, 141, 153, 166, 181, 197, 217, 241};
// The 16 values of FP4 E2M1 (OCP Microscaling Formats 1.0), doubled, plus 12.
constexpr uint8_t kFp4Levels[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

uint16_t read_u16(const uint8_t* p) {
  return static_cast<uint16_t>(p[0] | (p[1] << 8));
}
uint32_t read_u32(const uint8_t* p) {
  return static_cast<uint32_t>(read_u16(p)) | (static_cast<uint32_t>(read_u16(p + 2)) << 16);
}

// 32 codes: the low nibbles of 16 bytes, then the high ones.
void split_nibbles(const uint8_t* q, uint8_t* codes) {
  for (int j = 0; j < 16; ++j) {
    codes[j] = q[j] & 15;
    codes[j + 16] = q[j] >> 4;
  }
}

// Adds bit j of `bits` to codes[j] as its fifth bit.
void add_fifth_bits(uint32_t bits, uint8_t* codes) {
  for (int j = 0; j < 32; ++j) codes[j] |= static_cast<uint8_t>(((bits >> j) & 1u) << 4);
}

// --- blocks of 32

void split_q4_0(const uint8_t* b, BlockParts& parts) {  // IQ4_NL too
  parts.d = read_u16(b);
  split_nibbles(b + 2, parts.codes);
}

void split_q4_1(const uint8_t* b, BlockParts& parts) {
  parts.d = read_u16(b);
  parts.min = read_u16(b + 2);
  split_nibbles(b + 4, parts.codes);
}

void split_q5_0(const uint8_t* b, BlockParts& parts) {
  parts.d = read_u16(b);
  split_nibbles(b + 6, parts.codes);
  add_fifth_bits(read_u32(b + 2), parts.codes);
}

void split_q5_1(const uint8_t* b, BlockParts& parts) {
  parts.d = read_u16(b);
  parts.min = read_u16(b + 2);
  split_nibbles(b + 8, parts.codes);
  add_fifth_bits(read_u32(b + 4), parts.codes);
}

void split_q8_0(const uint8_t* b, BlockParts& parts) {
  parts.d = read_u16(b);
  for (int j = 0; j < 32; ++j) parts.codes[j] = b[2 + j] ^ 0x80;  // int8 + 128
}

void split_mxfp4(const uint8_t* b, BlockParts& parts) {
  parts.d = b[0];
  split_nibbles(b + 1, parts.codes);
}

// --- k-quants: blocks of 256

// The 2-bit codes of Q2_K and Q3_K: 32 bytes hold 4 x 32 columns, at bits 0, 2, 4 and 6.
void split_crumbs(const uint8_t* q, uint8_t* codes) {
  for (int half = 0; half < 2; ++half) {
    for (int j = 0; j < 4; ++j) {
      for (int l = 0; l < 32; ++l)
        codes[128 * half + 32 * j + l] = (q[32 * half + l] >> (2 * j)) & 3;
    }
  }
}

// The low nibbles of Q4_K and Q5_K: 32 bytes hold 2 x 32 columns.
void split_nibbles_k(const uint8_t* q, uint8_t* codes) {
  for (int c = 0; c < 4; ++c) {
    for (int l = 0; l < 32; ++l) {
      codes[64 * c + l] = q[32 * c + l] & 15;
      codes[64 * c + 32 + l] = q[32 * c + l] >> 4;
    }
  }
}

// Eight 6-bit scales and eight 6-bit mins in 12 bytes.
void split_scales_k(const uint8_t* s, BlockParts& parts) {
  for (int j = 0; j < 4; ++j) {
    parts.scales[j] = s[j] & 63;
    parts.mins[j] = s[j + 4] & 63;
    parts.scales[j + 4] = static_cast<uint8_t>((s[j + 8] & 15) | ((s[j] >> 6) << 4));
    parts.mins[j + 4] = static_cast<uint8_t>((s[j + 8] >> 4) | ((s[j + 4] >> 6) << 4));
  }
}

void split_q2_k(const uint8_t* b, BlockParts& parts) {
  std::memcpy(parts.scales, b, 16);  // already nibbles: scale, min
  split_crumbs(b + 16, parts.codes);
  parts.d = read_u16(b + 80);
  parts.min = read_u16(b + 82);
}

void split_q3_k(const uint8_t* b, BlockParts& parts) {
  const uint8_t* high = b;
  const uint8_t* s = b + 96;
  split_crumbs(b + 32, parts.codes);
  for (int i = 0; i < 8; ++i) {
    for (int l = 0; l < 32; ++l) {
      parts.codes[32 * i + l] |= static_cast<uint8_t>(((high[l] >> i) & 1) << 2);
    }
  }
  for (int j = 0; j < 16; ++j) {
    const int low = j < 8 ? s[j] & 15 : s[j - 8] >> 4;
    const int top = (s[8 + j % 4] >> (2 * (j / 4))) & 3;
    parts.scales[j] = static_cast<uint8_t>((low | (top << 4)) - 32);
  }
  parts.d = read_u16(b + 108);
}

void split_q4_k(const uint8_t* b, BlockParts& parts) {
  parts.d = read_u16(b);
  parts.min = read_u16(b + 2);
  split_scales_k(b + 4, parts);
  split_nibbles_k(b + 16, parts.codes);
}

void split_q5_k(const uint8_t* b, BlockParts& parts) {
  const uint8_t* high = b + 16;
  parts.d = read_u16(b);
  parts.min = read_u16(b + 2);
  split_scales_k(b + 4, parts);
  split_nibbles_k(b + 48, parts.codes);
  for (int i = 0; i < 8; ++i) {
    for (int l = 0; l < 32; ++l) {
      parts.codes[32 * i + l] |= static_cast<uint8_t>(((high[l] >> i) & 1) << 4);
    }
  }
}

void split_q6_k(const uint8_t* b, BlockParts& parts) {
  for (int half = 0; half < 2; ++half) {
    const uint8_t* low = b + 64 * half;
    const uint8_t* high = b + 128 + 32 * half;
    uint8_t* codes = parts.codes + 128 * half;
    for (int j = 0; j < 4; ++j) {
      for (int l = 0; l < 32; ++l) {
        const int nibble = (low[32 * (j % 2) + l] >> (4 * (j / 2))) & 15;
        codes[32 * j + l] = static_cast<uint8_t>(nibble | (((high[l] >> (2 * j)) & 3) << 4));
      }
    }
  }
  std::memcpy(parts.scales, b + 192, 16);
  parts.d = read_u16(b + 208);
}

void split_iq4_xs(const uint8_t* b, BlockParts& parts) {
  const uint16_t top = read_u16(b + 2);
  const uint8_t* low = b + 4;
  parts.d = read_u16(b);
  for (int j = 0; j < 8; ++j) {
    const int nibble = (low[j / 2] >> (4 * (j % 2))) & 15;
    parts.scales[j] = static_cast<uint8_t>((nibble | (((top >> (2 * j)) & 3) << 4)) - 32);
    split_nibbles(b + 8 + 16 * j, parts.codes + 32 * j);
  }
}

// What a newcomer wants to see: each format is one line.
const Layout kLayouts[] = {
    {&kQ4_0, CodeKind::k4, ScaleKind::kF16, 8, nullptr, split_q4_0},
    {&kQ4_1, CodeKind::k4, ScaleKind::kF16Min, 0, nullptr, split_q4_1},
    {&kQ5_0, CodeKind::k5, ScaleKind::kF16, 16, nullptr, split_q5_0},
    {&kQ5_1, CodeKind::k5, ScaleKind::kF16Min, 0, nullptr, split_q5_1},
    {&kQ8_0, CodeKind::k8, ScaleKind::kF16, 128, nullptr, split_q8_0},
    {&kIQ4_NL, CodeKind::k4, ScaleKind::kF16, 128, kIq4Levels, split_q4_0},
    {&kMXFP4, CodeKind::k4, ScaleKind::kE8M0, 12, kFp4Levels, split_mxfp4},
    {&kQ2_K, CodeKind::k2, ScaleKind::kK16Min4, 0, nullptr, split_q2_k},
    {&kQ3_K, CodeKind::k3, ScaleKind::kK16, 4, nullptr, split_q3_k},
    {&kQ4_K, CodeKind::k4, ScaleKind::kK32Min, 0, nullptr, split_q4_k},
    {&kQ5_K, CodeKind::k5, ScaleKind::kK32Min, 0, nullptr, split_q5_k},
    {&kQ6_K, CodeKind::k6, ScaleKind::kK16, 32, nullptr, split_q6_k},
    {&kIQ4_XS, CodeKind::k4, ScaleKind::kK32, 128, kIq4Levels, split_iq4_xs},
};

size_t round_up(size_t n, size_t to) {
  return (n + to - 1) / to * to;
}

}  // namespace

const Layout* find_layout(const Format& format) {
  for (const Layout& layout : kLayouts) {
    if (layout.format == &format || layout.format->ggml_type == format.ggml_type) return &layout;
  }
  return nullptr;
}

size_t Layout::code_bytes(int blocks) const {
  return static_cast<size_t>(blocks * code_vectors(codes)) * kQuadBytes;
}

size_t Layout::scale_bytes(int blocks) const {
  const auto row_bytes = [&] {
    switch (scales) {
      case ScaleKind::kF16:
        return blocks * 2;
      case ScaleKind::kF16Min:
        return blocks * 4;
      case ScaleKind::kE8M0:
        return blocks;
      case ScaleKind::kK32:
        return 2 + 8;
      case ScaleKind::kK32Min:
        return 4 + 8 + 8;
      case ScaleKind::kK16:
        return 2 + 16;
      case ScaleKind::kK16Min4:
        return 4 + 16;
    }
    return 0;
  };
  return round_up(static_cast<size_t>(row_bytes()) * kPanelRows, 64);
}

}  // namespace tessera::cpu
