// Codes, a byte each, into the packings of codes.h: each function is the reverse of the one there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tessera::huggingface {

using PackedBytes = std::vector<std::byte>;
using CodeBytes = std::span<const uint8_t>;  // [rows, columns]

PackedBytes pack_nibbles(CodeBytes codes, bool low_first);
// Dense: words of 32 bits without gaps, in each row.
PackedBytes pack_row_words(CodeBytes codes, uint64_t columns, int bits);
// Words of 32 bits down the columns: [words of `columns` codes, rows].
PackedBytes pack_column_words(CodeBytes codes, uint64_t columns, int bits);
// [columns, rows / 8] words; rows are a multiple of 8.
PackedBytes pack_awq(CodeBytes codes, uint64_t columns);
// BitNet: four parts of the matrix, the first in the lowest 2 bits of each byte.
PackedBytes pack_quarters(CodeBytes codes);

}  // namespace tessera::huggingface
