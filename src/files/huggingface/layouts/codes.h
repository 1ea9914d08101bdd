// The codes of a quantized matrix, a byte each, out of the many ways in which they are packed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "formats/row_source.h"

namespace tessera::huggingface {

// Threads may read at once. Whoever makes one has checked that `bytes` has the size that the shape
// needs, and columns and rows beyond 0.
class Codes {
 public:
  virtual ~Codes() = default;
  // Rows [first, first + count), without gaps.
  virtual void read(uint64_t first, uint64_t count, uint8_t* out) const = 0;
};
using CodesPtr = std::shared_ptr<const Codes>;
using Bytes = std::span<const std::byte>;

// A byte each, row by row. `flip`: is xor-ed; 0x80 makes a signed number one with a zero point of
// 128.
CodesPtr byte_codes(Bytes bytes, uint64_t columns, uint8_t flip = 0);

// The same of rows that are put together themselves, of bytes.
CodesPtr source_codes(std::shared_ptr<const RowSource> source, uint64_t columns, uint8_t flip = 0);

// Two to a byte, row by row; a row may begin in the middle of a byte.
CodesPtr nibble_codes(Bytes bytes, uint64_t columns, bool low_first);

// Rows of words of 32 bits, each filled from its lowest bit on: `dense` without gaps, so that a
// code may lie in two words; else as many whole codes as there is room for.
CodesPtr row_word_codes(Bytes bytes, uint64_t columns, int bits, bool dense);
uint64_t words_of(uint64_t codes, int bits, bool dense);  // how many words they take

// GPTQ: words [columns * bits / 32, rows], a dense stream down the words of each row. columns *
// bits is a multiple of 32 (of 96 for 3 bits).
CodesPtr column_word_codes(Bytes bytes, uint64_t rows, uint64_t columns, int bits);

// AWQ's GEMM: words [columns, rows / 8] of 4 bits, where 8 rows lie in the order of kAwqRows.
CodesPtr awq_codes(Bytes bytes, uint64_t rows, uint64_t columns);
inline constexpr uint8_t kAwqRows[8] = {0, 2, 4, 6, 1, 3, 5, 7};  // the row of each nibble

// Planes: the matrix, element after element, is cut into as many parts as a word has fields, and
// part i lies in field i of the words (HQQ, BitNet). `plane`: words, which are elements of a part.
struct Planes {
  int word_bytes = 1, bits = 4, fields = 2;
  bool high_first = true;  // part 0 is in the highest field that is used, else in the lowest
  uint64_t plane = 0;
};
CodesPtr planar_codes(Bytes bytes, uint64_t columns, const Planes& planes);

// Column c is column order[c] of `codes`.
CodesPtr permuted_codes(CodesPtr codes, std::shared_ptr<const std::vector<uint32_t>> order);

// `bits` (at most 8) from bit `position` of a stream that begins with the lowest bit of bytes[0].
inline uint8_t bits_at(Bytes bytes, uint64_t position, int bits) {
  const uint64_t byte = position / 8;
  const auto shift = static_cast<unsigned>(position % 8);
  auto window = static_cast<unsigned>(bytes[byte]);
  if (shift + static_cast<unsigned>(bits) > 8)
    window |= static_cast<unsigned>(bytes[byte + 1]) << 8;
  return static_cast<uint8_t>((window >> shift) & ((1u << bits) - 1));
}

}  // namespace tessera::huggingface
