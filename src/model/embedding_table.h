// The embeddings of a vocabulary, or of positions. A step reads one row a token, so they stay in
// the checkpoint and are decoded from there as needed.
#pragma once

#include <span>
#include <vector>

#include "base/token.h"
#include "checkpoint/checkpoint.h"

namespace tessera {

class EmbeddingTable {
 public:
  // table: [vocabulary, embedding], of the checkpoint, which must outlive it.
  EmbeddingTable(const Checkpoint& checkpoint, const StoredTensor& table, float scale)
      : checkpoint_(checkpoint), table_(table), scale_(scale) {}

  // The rows of the tokens, each times the scale, without gaps.
  void read(std::span<const Token> tokens, std::span<float> rows) {
    const auto columns = static_cast<size_t>(table_.columns());
    for (size_t i = 0; i < tokens.size(); ++i) {
      const auto row = rows.subspan(i * columns, columns);
      table_.decode(static_cast<uint64_t>(tokens[i]), 1, row);
      if (scale_ == 1.0f) continue;
      for (float& value : row) value *= scale_;
    }
    let_go(tokens.size());
  }
  // The same of a table of positions, added to what is there.
  void add(std::span<const int32_t> positions, std::span<float> rows) {
    row_.resize(static_cast<size_t>(table_.columns()));
    for (size_t i = 0; i < positions.size(); ++i) {
      table_.decode(static_cast<uint64_t>(positions[i]), 1, row_);
      for (size_t c = 0; c < row_.size(); ++c) rows[i * row_.size() + c] += scale_ * row_[c];
    }
    let_go(positions.size());
  }

 private:
  // A row brings its neighbours in the file along: what nobody asks for must not stay.
  void let_go(size_t read) {
    constexpr size_t kRowsKept = 512;
    rows_read_ += read;
    if (rows_read_ < kRowsKept) return;
    checkpoint_.release(table_);
    rows_read_ = 0;
  }

  const Checkpoint& checkpoint_;
  const StoredTensor& table_;
  float scale_;
  std::vector<float> row_;
  size_t rows_read_ = 0;  // since the table's pages were released
};

}  // namespace tessera
