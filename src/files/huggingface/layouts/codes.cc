#include "files/huggingface/layouts/codes.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tessera::huggingface {
namespace {

uint32_t word_at(Bytes bytes, uint64_t index) {
  uint32_t word;
  std::memcpy(&word, bytes.data() + index * sizeof(word), sizeof(word));
  return word;
}

// The 8 codes of 4, or of 2 bits, that lie in `word` from its lowest bit on, a byte each.
uint64_t spread_nibbles(uint32_t word) {
  uint64_t x = word;
  x = (x | (x << 16)) & 0x0000ffff0000ffff;
  x = (x | (x << 8)) & 0x00ff00ff00ff00ff;
  return (x | (x << 4)) & 0x0f0f0f0f0f0f0f0f;
}
uint64_t spread_pairs(uint32_t word) {
  uint64_t x = word & 0xffff;
  x = (x | (x << 24)) & 0x000000ff000000ff;
  x = (x | (x << 12)) & 0x000f000f000f000f;
  return (x | (x << 6)) & 0x0303030303030303;
}

// Bytes of 8 rows, the first in the lowest: byte i of row j goes to byte j of row i.
void transpose(uint64_t (&rows)[8]) {
  const auto exchange = [&](int distance, int shift, uint64_t mask) {
    for (int i = 0; i < 8; ++i) {
      if ((i & distance) != 0) continue;
      const uint64_t moved = ((rows[i] >> shift) ^ rows[i + distance]) & mask;
      rows[i + distance] ^= moved;
      rows[i] ^= moved << shift;
    }
  };
  exchange(4, 32, 0x00000000ffffffff);
  exchange(2, 16, 0x0000ffff0000ffff);
  exchange(1, 8, 0x00ff00ff00ff00ff);
}

class ByteCodes final : public Codes {
 public:
  ByteCodes(Bytes bytes, uint64_t columns, uint8_t flip)
      : bytes_(bytes), columns_(columns), flip_(flip) {}
  void read(uint64_t first, uint64_t count, uint8_t* out) const override {
    const auto* in = reinterpret_cast<const uint8_t*>(bytes_.data()) + first * columns_;
    for (uint64_t i = 0; i < count * columns_; ++i) out[i] = in[i] ^ flip_;
  }

 private:
  Bytes bytes_;
  uint64_t columns_;
  uint8_t flip_;
};

class SourceCodes final : public Codes {
 public:
  SourceCodes(std::shared_ptr<const RowSource> source, uint64_t columns, uint8_t flip)
      : source_(std::move(source)), columns_(columns), flip_(flip) {}
  void read(uint64_t first, uint64_t count, uint8_t* out) const override {
    source_->read(first, count, reinterpret_cast<std::byte*>(out));
    for (uint64_t i = 0; i < count * columns_; ++i) out[i] ^= flip_;
  }

 private:
  std::shared_ptr<const RowSource> source_;
  uint64_t columns_;
  uint8_t flip_;
};

class NibbleCodes final : public Codes {
 public:
  NibbleCodes(Bytes bytes, uint64_t columns, bool low_first)
      : bytes_(bytes), columns_(columns), low_first_(low_first) {}
  void read(uint64_t first, uint64_t count, uint8_t* out) const override {
    const auto* in = reinterpret_cast<const uint8_t*>(bytes_.data());
    for (uint64_t i = first * columns_; i < (first + count) * columns_; ++i) {
      const bool low = (i % 2 == 0) == low_first_;
      *out++ = low ? in[i / 2] & 15 : in[i / 2] >> 4;
    }
  }

 private:
  Bytes bytes_;
  uint64_t columns_;
  bool low_first_;
};

class RowWordCodes final : public Codes {
 public:
  RowWordCodes(Bytes bytes, uint64_t columns, int bits, bool dense)
      : bytes_(bytes),
        columns_(columns),
        row_bytes_(words_of(columns, bits, dense) * 4),
        bits_(bits),
        in_word_(dense ? 0 : static_cast<unsigned>(32 / bits)) {}
  void read(uint64_t first, uint64_t count, uint8_t* out) const override {
    for (uint64_t row = first; row < first + count; ++row, out += columns_) {
      const Bytes words = bytes_.subspan(row * row_bytes_, row_bytes_);
      uint64_t done = 0;
      if (bits_ == 4) {
        for (; done + 8 <= columns_; done += 8) {
          const uint64_t codes = spread_nibbles(word_at(words, done / 8));
          std::memcpy(out + done, &codes, sizeof(codes));
        }
      }
      for (; done < columns_; ++done) out[done] = code(words, done);
    }
  }

 private:
  uint8_t code(Bytes words, uint64_t index) const {
    const auto width = static_cast<uint64_t>(bits_);
    if (in_word_ == 0) return bits_at(words, index * width, bits_);
    return bits_at(words, index / in_word_ * 32 + index % in_word_ * width, bits_);
  }

  Bytes bytes_;
  uint64_t columns_, row_bytes_;
  int bits_;
  unsigned in_word_;  // codes; 0: dense
};

class ColumnWordCodes final : public Codes {
 public:
  ColumnWordCodes(Bytes bytes, uint64_t rows, uint64_t columns, int bits)
      : bytes_(bytes), rows_(rows), columns_(columns), bits_(bits) {}
  // Words of neighbouring rows are neighbours, so all rows that are asked for are taken along; some
  // words of each at a time, which fill a cache line of its codes.
  void read(uint64_t first, uint64_t count, uint8_t* out) const override {
    const uint64_t words = 32 % bits_ == 0 ? 1 : static_cast<uint64_t>(bits_);
    const uint64_t codes = words * 32 / static_cast<uint64_t>(bits_);
    const uint64_t units = columns_ / codes, together = std::max<uint64_t>(64 / codes, 1);
    for (uint64_t begin = 0; begin < units; begin += together) {
      const uint64_t end = std::min(begin + together, units);
      for (uint64_t r = 0; r < count; ++r) {
        for (uint64_t unit = begin; unit < end; ++unit)
          unpack(unit * words * rows_ + first + r, words, out + r * columns_ + unit * codes);
      }
    }
  }

 private:
  void unpack(uint64_t index, uint64_t words, uint8_t* out) const {
    if (words == 1) {
      const uint32_t word = word_at(bytes_, index);
      if (bits_ == 8) {
        std::memcpy(out, &word, sizeof(word));
      } else if (bits_ == 4) {
        const uint64_t codes = spread_nibbles(word);
        std::memcpy(out, &codes, sizeof(codes));
      } else if (bits_ == 2) {
        const uint64_t codes[2] = {spread_pairs(word), spread_pairs(word >> 16)};
        std::memcpy(out, codes, sizeof(codes));
      } else {
        for (int i = 0; i < 32; ++i) out[i] = (word >> i) & 1;
      }
      return;
    }
    uint32_t stream[8];
    for (uint64_t w = 0; w < words; ++w) stream[w] = word_at(bytes_, index + w * rows_);
    const Bytes bytes = std::as_bytes(std::span(stream));
    for (uint64_t i = 0; i < 32; ++i)
      out[i] = bits_at(bytes, i * static_cast<uint64_t>(bits_), bits_);
  }

  Bytes bytes_;
  uint64_t rows_, columns_;
  int bits_;
};

class AwqCodes final : public Codes {
 public:
  AwqCodes(Bytes bytes, uint64_t rows, uint64_t columns)
      : bytes_(bytes), rows_(rows), columns_(columns) {}
  void read(uint64_t first, uint64_t count, uint8_t* out) const override {
    const uint64_t end = first + count;
    for (uint64_t word = first / 8; word * 8 < end; ++word) {
      for (uint64_t column = 0; column < columns_; column += 8) {
        uint64_t square[8] = {};  // a row each, after it is turned
        const uint64_t across = std::min<uint64_t>(8, columns_ - column);
        for (uint64_t c = 0; c < across; ++c)
          square[c] = spread_nibbles(word_at(bytes_, (column + c) * (rows_ / 8) + word));
        transpose(square);
        for (int i = 0; i < 8; ++i) {
          const uint64_t row = word * 8 + kAwqRows[i];
          if (row < first || row >= end) continue;
          std::memcpy(out + (row - first) * columns_ + column, &square[i], across);
        }
      }
    }
  }

 private:
  Bytes bytes_;
  uint64_t rows_, columns_;
};

class PlanarCodes final : public Codes {
 public:
  PlanarCodes(Bytes bytes, uint64_t columns, const Planes& planes)
      : bytes_(bytes), columns_(columns), planes_(planes) {}
  void read(uint64_t first, uint64_t count, uint8_t* out) const override {
    uint64_t element = first * columns_;
    const uint64_t end = element + count * columns_;
    while (element < end) {  // a stretch within one plane
      const uint64_t part = element / planes_.plane, begin = element % planes_.plane;
      const uint64_t stretch = std::min(end - element, planes_.plane - begin);
      const auto field =
          planes_.high_first ? planes_.fields - 1 - static_cast<int>(part) : static_cast<int>(part);
      const int shift = field * planes_.bits;
      const uint32_t mask = (1u << planes_.bits) - 1;
      if (planes_.word_bytes == 1) {
        const auto* in = reinterpret_cast<const uint8_t*>(bytes_.data()) + begin;
        for (uint64_t i = 0; i < stretch; ++i)
          *out++ = static_cast<uint8_t>((static_cast<uint32_t>(in[i]) >> shift) & mask);
      } else {
        for (uint64_t i = 0; i < stretch; ++i)
          *out++ = static_cast<uint8_t>((word_at(bytes_, begin + i) >> shift) & mask);
      }
      element += stretch;
    }
  }

 private:
  Bytes bytes_;
  uint64_t columns_;
  Planes planes_;
};

class PermutedCodes final : public Codes {
 public:
  PermutedCodes(CodesPtr codes, std::shared_ptr<const std::vector<uint32_t>> order)
      : codes_(std::move(codes)), order_(std::move(order)) {}
  void read(uint64_t first, uint64_t count, uint8_t* out) const override {
    codes_->read(first, count, out);
    std::vector<uint8_t> row(order_->size());
    for (uint64_t r = 0; r < count; ++r, out += row.size()) {
      std::copy_n(out, row.size(), row.begin());
      for (size_t c = 0; c < row.size(); ++c) out[c] = row[(*order_)[c]];
    }
  }

 private:
  CodesPtr codes_;
  std::shared_ptr<const std::vector<uint32_t>> order_;
};

}  // namespace

uint64_t words_of(uint64_t codes, int bits, bool dense) {
  const auto width = static_cast<uint64_t>(bits);
  if (dense) return codes / 32 * width + (codes % 32 * width + 31) / 32;
  const uint64_t in_word = 32 / width;
  return codes / in_word + (codes % in_word != 0);
}

CodesPtr byte_codes(Bytes bytes, uint64_t columns, uint8_t flip) {
  return std::make_shared<ByteCodes>(bytes, columns, flip);
}

CodesPtr source_codes(std::shared_ptr<const RowSource> source, uint64_t columns, uint8_t flip) {
  return std::make_shared<SourceCodes>(std::move(source), columns, flip);
}

CodesPtr nibble_codes(Bytes bytes, uint64_t columns, bool low_first) {
  return std::make_shared<NibbleCodes>(bytes, columns, low_first);
}

CodesPtr row_word_codes(Bytes bytes, uint64_t columns, int bits, bool dense) {
  return std::make_shared<RowWordCodes>(bytes, columns, bits, dense);
}

CodesPtr column_word_codes(Bytes bytes, uint64_t rows, uint64_t columns, int bits) {
  return std::make_shared<ColumnWordCodes>(bytes, rows, columns, bits);
}

CodesPtr awq_codes(Bytes bytes, uint64_t rows, uint64_t columns) {
  return std::make_shared<AwqCodes>(bytes, rows, columns);
}

CodesPtr planar_codes(Bytes bytes, uint64_t columns, const Planes& planes) {
  return std::make_shared<PlanarCodes>(bytes, columns, planes);
}

CodesPtr permuted_codes(CodesPtr codes, std::shared_ptr<const std::vector<uint32_t>> order) {
  return std::make_shared<PermutedCodes>(std::move(codes), std::move(order));
}

}  // namespace tessera::huggingface
