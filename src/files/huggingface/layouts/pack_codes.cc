#include "files/huggingface/layouts/pack_codes.h"

#include "files/huggingface/layouts/codes.h"

namespace tessera::huggingface {
namespace {

// The reverse of bits_at(), into bytes that are zeros.
void put_bits(PackedBytes& bytes, uint64_t position, int bits, uint8_t code) {
  const uint64_t byte = position / 8;
  const auto shift = static_cast<unsigned>(position % 8);
  const unsigned window = static_cast<unsigned>(code) << shift;
  bytes[byte] |= static_cast<std::byte>(window);
  if (shift + static_cast<unsigned>(bits) > 8)
    bytes[byte + 1] |= static_cast<std::byte>(window >> 8);
}

constexpr uint64_t kWordBytes = 4, kWordBits = 32;

}  // namespace

PackedBytes pack_nibbles(CodeBytes codes, bool low_first) {
  PackedBytes bytes((codes.size() + 1) / 2);
  for (size_t i = 0; i < codes.size(); ++i) {
    const bool low = (i % 2 == 0) == low_first;
    bytes[i / 2] |= static_cast<std::byte>(codes[i] << (low ? 0 : 4));
  }
  return bytes;
}

PackedBytes pack_row_words(CodeBytes codes, uint64_t columns, int bits) {
  const uint64_t rows = codes.size() / columns;
  const uint64_t row_bits = words_of(columns, bits, true) * kWordBits;
  PackedBytes bytes(rows * row_bits / 8);
  for (uint64_t row = 0; row < rows; ++row) {
    for (uint64_t c = 0; c < columns; ++c)
      put_bits(bytes, row * row_bits + c * static_cast<uint64_t>(bits), bits,
               codes[row * columns + c]);
  }
  return bytes;
}

PackedBytes pack_column_words(CodeBytes codes, uint64_t columns, int bits) {
  const uint64_t rows = codes.size() / columns, words = words_of(columns, bits, true);
  const PackedBytes by_row = pack_row_words(codes, columns, bits);
  PackedBytes bytes(by_row.size());
  for (uint64_t row = 0; row < rows; ++row) {
    for (uint64_t word = 0; word < words; ++word) {
      for (uint64_t i = 0; i < kWordBytes; ++i)
        bytes[(word * rows + row) * kWordBytes + i] = by_row[(row * words + word) * kWordBytes + i];
    }
  }
  return bytes;
}

PackedBytes pack_awq(CodeBytes codes, uint64_t columns) {
  const uint64_t rows = codes.size() / columns;
  PackedBytes bytes(codes.size() / 2);
  for (uint64_t c = 0; c < columns; ++c) {
    for (uint64_t first = 0; first < rows; first += 8) {
      for (uint64_t i = 0; i < 8; ++i)
        put_bits(bytes, c * rows * 4 + first * 4 + i * 4, 4,
                 codes[(first + kAwqRows[i]) * columns + c]);
    }
  }
  return bytes;
}

PackedBytes pack_quarters(CodeBytes codes) {
  PackedBytes bytes(codes.size() / 4);
  for (size_t i = 0; i < codes.size(); ++i)
    bytes[i % bytes.size()] |= static_cast<std::byte>(codes[i] << (i / bytes.size() * 2));
  return bytes;
}

}  // namespace tessera::huggingface
