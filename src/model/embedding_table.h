// The embeddings of a vocabulary. A step reads one row a token, so they stay in the checkpoint and
// are decoded from there as needed.
#pragma once

#include <span>

#include "base/token.h"
#include "checkpoint/stored_tensor.h"

namespace tessera {

class EmbeddingTable {
 public:
  // table: [vocabulary, embedding]; must outlive it.
  EmbeddingTable(const StoredTensor& table, float scale) : table_(&table), scale_(scale) {}

  // The rows of the tokens, each times the scale, without gaps.
  void read(std::span<const Token> tokens, std::span<float> rows) const {
    const auto columns = static_cast<size_t>(table_->columns());
    for (size_t i = 0; i < tokens.size(); ++i) {
      const auto row = rows.subspan(i * columns, columns);
      table_->decode(static_cast<uint64_t>(tokens[i]), 1, row);
      if (scale_ == 1.0f) continue;
      for (float& value : row) value *= scale_;
    }
  }

 private:
  const StoredTensor* table_;
  float scale_;
};

}  // namespace tessera
