// Formats of rows that are put together from tensors of their own for codes, scales and zero points
// (see row_source.h): what GPTQ, AWQ, bitsandbytes, HQQ, compressed-tensors and scaled FP8 have in
// common. No file holds them; their blocks exist while a matrix is loaded or recoded, so they are
// easy to write rather than small.
//
// A block is a group of columns that share a scale:
//
//   scale: f16 or f32 | by GroupedOffset: u8 zero, or min in the scale's type
//     | by ScaleScope: what the scale is made of | codes, a byte each
//
//   x = scale * (code - zero_point), scale * (code - zero), scale * code + min, or, by a table or
//   as a float of 8 bits, scale * value(code)
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "formats/format.h"

namespace tessera {

enum class GroupedCodes : uint8_t {
  kInteger,  // unsigned, less than 2^bits
  kNF4,      // NormalFloat, 16 levels in [-1, 1] (Dettmers et al. 2023, QLoRA, appendix E)
  kFP4,      // bitsandbytes' table of 16 levels in [-1, 1]
  kE2M1,     // 4 bits: sign, 2 exponent bits, 1 mantissa bit (OCP MX)
  kE4M3,     // FP8 without infinities (OCP FP8)
  kE5M2,
};

enum class GroupedOffset : uint8_t { kNone, kZero, kMin };  // what each group has beside its scale

// Whose affair a scale is. All but kGroup are settled over a whole matrix before codes are chosen
// (shared_scales.h): the encoder finds them in the block.
enum class ScaleScope : uint8_t {
  kGroup,
  kRow,     // one for a row
  kMatrix,  // one for all
  kNested,  // a group's own, in 8 bits (double quantization: Dettmers et al. 2023, QLoRA)
  kE4M3,    // a group's own, a float of 8 bits, times one for all (NVFP4)
};

struct GroupedKind {
  GroupedCodes codes = GroupedCodes::kInteger;
  int bits = 4;  // of an integer code: 1 .. 8
  bool f32_scales = false;
  GroupedOffset offset = GroupedOffset::kNone;  // of integers only
  int zero_point = 0;                           // the code of zero, without an offset
  int group = 32;                         // columns that share a scale: 16, 32, 64, 128 or 256
  ScaleScope scope = ScaleScope::kGroup;  // others have f32 scales, and no offset

  auto operator<=>(const GroupedKind&) const = default;

  constexpr size_t scale_bytes() const { return f32_scales ? 4 : 2; }
  constexpr size_t offset_bytes() const {
    return offset == GroupedOffset::kNone ? 0 : offset == GroupedOffset::kZero ? 1 : scale_bytes();
  }
  // kNested: u8 code, f32 scale of the codes, f32 offset. kE4M3: u8 code, f32 divisor.
  constexpr size_t note_bytes() const {
    return scope == ScaleScope::kNested ? 9 : scope == ScaleScope::kE4M3 ? 5 : 0;
  }
  constexpr size_t block_bytes() const {
    return scale_bytes() + offset_bytes() + note_bytes() + static_cast<size_t>(group);
  }
};

// The format of that kind, made when it is first asked for; lives as long as the program. Error for
// a kind out of the bounds above. Its name says what it is: "INT4/128", "UINT4/128" (with zeros or
// minimums), "NF4/64", "E4M3/128".
// Formats that somebody writes can encode (grouped_encode.cc lists them), and are joined from
// codes.
const Format& grouped_format(const GroupedKind& kind);
// nullptr if it is none of these.
const GroupedKind* kind_of(const Format& format);
// Are its scales beyond kGroup?
bool shares_scales(const Format& format);

// The largest group that is allowed, divides `group` (the file's; 0: a whole row) and the columns.
// 0: none does, so the values have to be decoded.
int fitting_group(uint64_t columns, uint64_t group);

// Writes one block: codes.size() is the group. `offset`: the zero or the min, if there is one. A
// scale or min that an f16 cannot hold exactly needs f32_scales.
void write_grouped_block(const GroupedKind& kind, float scale, float offset,
                         std::span<const uint8_t> codes, std::byte* block);

}  // namespace tessera
