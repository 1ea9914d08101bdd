#include "model/token_map.h"

#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/printable.h"

namespace tessera {
namespace {

// Whole numbers of 32 or 64 bits.
std::vector<int64_t> read_integers(const StoredTensor& tensor) {
  const size_t size = tensor.format->name == "I64" ? 8 : 4;
  if (tensor.format->name != "I64" && tensor.format->name != "I32")
    fail("tensor '{}' has format {}, expected I64 or I32", tensor.name, tensor.format->name);
  std::vector<int64_t> values;
  for (size_t at = 0; at < tensor.bytes.size(); at += size) {
    int64_t wide = 0;
    int32_t narrow = 0;
    if (size == 8) {
      std::memcpy(&wide, tensor.bytes.data() + at, size);
    } else {
      std::memcpy(&narrow, tensor.bytes.data() + at, size);
    }
    values.push_back(size == 8 ? wide : narrow);
  }
  return values;
}

}  // namespace

TokenMap::TokenMap(const Checkpoint& checkpoint, int rows, int vocabulary)
    : vocabulary_(vocabulary) {
  const StoredTensor* map = checkpoint.find({TensorRole::kTokenMap});
  knows_all_ = map == nullptr && rows == vocabulary;
  if (map == nullptr) return;
  if (map->elements() != static_cast<uint64_t>(rows)) {
    fail("tensor '{}' names {} tokens, the heads' outputs have {}", printable(map->name),
         map->elements(), rows);
  }
  for (const int64_t token : read_integers(*map)) {
    if (token < 0 || token >= vocabulary) {
      fail("tensor '{}' names the token {}, the vocabulary has {}", printable(map->name), token,
           vocabulary);
    }
    tokens_.push_back(static_cast<Token>(token));
  }
}

HostRows TokenMap::spread(HostRows logits) {
  if (knows_all_) return logits;
  spread_.assign(static_cast<size_t>(logits.rows) * static_cast<size_t>(vocabulary_),
                 -std::numeric_limits<float>::infinity());
  for (int r = 0; r < logits.rows; ++r) {
    const auto from = logits.row(r);
    float* to = spread_.data() + static_cast<size_t>(r) * static_cast<size_t>(vocabulary_);
    for (size_t i = 0; i < from.size(); ++i)
      to[tokens_.empty() ? i : static_cast<size_t>(tokens_[i])] = from[i];
  }
  return {spread_.data(), logits.rows, vocabulary_, vocabulary_};
}

}  // namespace tessera
