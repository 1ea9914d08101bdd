// Which rows go in pairs. Rotary embeddings turn two rows of a head by the same angle: transformers
// takes the halves of a head (i, i + d/2), GGUF's definition of Llama pairs (2i, 2i + 1), so the
// rows of queries and keys lie in another order there.
#pragma once

#include <cstdint>
#include <string_view>

#include "checkpoint/facts.h"
#include "checkpoint/tensor_role.h"
#include "files/huggingface/families.h"

namespace tessera::huggingface {

bool rows_go_in_pairs(const Family& family, TensorRole role);

struct HeadCounts {
  int64_t queries = 0, keys = 0;
};

// Of one layer. Error if the facts do not say, or name other than positive numbers.
HeadCounts head_counts(const Facts& facts, int layer);

// The rows of a head, if the rows of this matrix (the elements of this bias) go in pairs; else 0.
// Error, with the tensor's name, unless its rows are so many heads of an even length.
uint64_t paired_head_dim(const Family& family, TensorRole role, HeadCounts heads, uint64_t rows,
                         std::string_view name);

// Where row r of a matrix (or element r of a vector) of `head_dim` rows a head is, when its rows go
// from halves (i, i + d/2) to pairs (2i, 2i + 1).
constexpr uint64_t row_in_halves(uint64_t row, uint64_t head_dim) {
  const uint64_t in_head = row % head_dim;
  return row - in_head + in_head % 2 * (head_dim / 2) + in_head / 2;
}

}  // namespace tessera::huggingface
