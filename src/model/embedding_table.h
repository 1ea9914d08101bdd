// The embeddings of a vocabulary. A step reads one row a token, so they stay in the checkpoint and
// are decoded from there as needed.
#pragma once

#include <span>

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
    // A row brings its neighbours in the file along: what nobody asks for must not stay.
    constexpr size_t kRowsKept = 512;
    rows_read_ += tokens.size();
    if (rows_read_ < kRowsKept) return;
    checkpoint_.release(table_);
    rows_read_ = 0;
  }

 private:
  const Checkpoint& checkpoint_;
  const StoredTensor& table_;
  float scale_;
  size_t rows_read_ = 0;  // since the table's pages were released
};

}  // namespace tessera
