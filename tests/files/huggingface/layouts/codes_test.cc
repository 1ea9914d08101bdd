// Packings beyond what the goldens are: more rows than a panel, columns that end within a word.
#include "files/huggingface/layouts/codes.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>
#include <vector>

namespace tessera::huggingface {
namespace {

std::vector<std::byte> random_bytes(size_t size) {
  std::mt19937 random(7);
  std::vector<std::byte> bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random() & 0xff);
  return bytes;
}

// Bit `bit` of word `index`.
int bit_of(const std::vector<std::byte>& bytes, uint64_t index, uint64_t bit) {
  return (static_cast<int>(bytes[index * 4 + bit / 8]) >> (bit % 8)) & 1;
}

// `word_of(position)`: the word in which bit `position` of a row's stream lies.
uint8_t naive(const std::vector<std::byte>& bytes, uint64_t position, int bits,
              const std::function<uint64_t(uint64_t)>& word_of) {
  int code = 0;
  for (uint64_t b = 0; b < static_cast<uint64_t>(bits); ++b)
    code |= bit_of(bytes, word_of((position + b) / 32), (position + b) % 32) << b;
  return static_cast<uint8_t>(code);
}

// All rows at once, and any of them, have what `expected` says.
void check(const Codes& codes, uint64_t rows, uint64_t columns,
           const std::function<uint8_t(uint64_t row, uint64_t column)>& expected) {
  for (const auto& [first, count] :
       std::vector<std::pair<uint64_t, uint64_t>>{{0, rows}, {5, 40}, {rows - 1, 1}, {8, 8}}) {
    std::vector<uint8_t> out(count * columns);
    codes.read(first, count, out.data());
    for (uint64_t r = 0; r < count; ++r) {
      for (uint64_t c = 0; c < columns; ++c)
        ASSERT_EQ(out[r * columns + c], expected(first + r, c))
            << "row " << first + r << ", column " << c;
    }
  }
}

TEST(Codes, DownTheWordsOfAColumn) {
  constexpr uint64_t kRows = 72, kColumns = 96;
  for (const int bits : {1, 2, 3, 4, 8}) {
    const auto width = static_cast<uint64_t>(bits);
    const auto bytes = random_bytes(kColumns * width / 32 * kRows * 4);
    check(*column_word_codes(bytes, kRows, kColumns, bits), kRows, kColumns,
          [&](uint64_t row, uint64_t column) {
            return naive(bytes, column * width, bits, [&](uint64_t w) { return w * kRows + row; });
          });
  }
}

TEST(Codes, EightRowsToAWordOfAwq) {
  constexpr uint64_t kRows = 72, kColumns = 21;
  const auto bytes = random_bytes(kColumns * kRows / 8 * 4);
  check(*awq_codes(bytes, kRows, kColumns), kRows, kColumns, [&](uint64_t row, uint64_t column) {
    uint64_t nibble = 0;
    while (kAwqRows[nibble] != row % 8) ++nibble;
    return naive(bytes, nibble * 4, 4, [&](uint64_t) { return column * (kRows / 8) + row / 8; });
  });
}

TEST(Codes, AlongTheWordsOfARowWithGapsAndWithout) {
  constexpr uint64_t kRows = 48, kColumns = 43;
  for (int bits = 1; bits <= 8; ++bits) {
    for (const bool dense : {true, false}) {
      const uint64_t words = words_of(kColumns, bits, dense);
      const auto bytes = random_bytes(kRows * words * 4);
      check(*row_word_codes(bytes, kColumns, bits, dense), kRows, kColumns,
            [&](uint64_t row, uint64_t column) {
              const auto width = static_cast<uint64_t>(bits);
              const uint64_t in_word = 32 / width;
              const uint64_t position =
                  dense ? column * width : column / in_word * 32 + column % in_word * width;
              return naive(bytes, position, bits, [&](uint64_t w) { return row * words + w; });
            });
    }
  }
}

TEST(Codes, AreAsManyWordsAsTheyFill) {
  EXPECT_EQ(words_of(32, 3, true), 3u);
  EXPECT_EQ(words_of(33, 3, true), 4u);
  EXPECT_EQ(words_of(32, 3, false), 4u);
  EXPECT_EQ(words_of(8, 4, false), 1u);
  EXPECT_EQ(words_of(9, 4, true), 2u);
  EXPECT_EQ(words_of(UINT64_MAX, 8, true), UINT64_MAX / 4 + 1);
}

TEST(Codes, InPlanesThatEndWithinARow) {
  constexpr uint64_t kRows = 48, kColumns = 10, kPlane = 241;  // two of them hold 482 codes
  const auto bytes = random_bytes(kPlane);
  const Planes planes = {
      .word_bytes = 1, .bits = 4, .fields = 2, .high_first = true, .plane = kPlane};
  check(*planar_codes(bytes, kColumns, planes), kRows, kColumns,
        [&](uint64_t row, uint64_t column) {
          const uint64_t element = row * kColumns + column;
          const auto word = static_cast<unsigned>(bytes[element % kPlane]);
          return static_cast<uint8_t>(element < kPlane ? word >> 4 : word & 15);
        });
}

TEST(Codes, OfNibblesMayBeginInTheMiddleOfAByte) {
  constexpr uint64_t kRows = 48, kColumns = 5;
  const auto bytes = random_bytes(kRows * kColumns / 2);
  for (const bool low_first : {true, false}) {
    check(*nibble_codes(bytes, kColumns, low_first), kRows, kColumns,
          [&](uint64_t row, uint64_t column) {
            const uint64_t element = row * kColumns + column;
            const auto byte = static_cast<unsigned>(bytes[element / 2]);
            return static_cast<uint8_t>((element % 2 == 0) == low_first ? byte & 15 : byte >> 4);
          });
  }
}

}  // namespace
}  // namespace tessera::huggingface
