// A low-rank adapter as it is stored: to some matrices W of a model it adds scale * B A (LoRA, Hu
// et al. 2021). What kind of file it lies in is known below files/ only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/stored_tensor.h"

namespace tessera {

// What is added to one matrix [rows, columns]: the place of both is that of the matrix.
struct StoredLowRank {
  StoredTensor down;  // A: [rank, columns]
  StoredTensor up;    // B: [rows, rank]
  float scale = 1.0f;
};

// Whoever opens one has checked that it fits the model which it was opened for: see check_fits().
struct StoredAdapter {
  std::string name;  // for people
  std::vector<StoredLowRank> matrices;
  std::shared_ptr<const void> file;  // where the tensors lie

  const StoredLowRank* find(TensorPlace place) const {  // nullptr if it leaves that as it is
    for (const StoredLowRank& one : matrices) {
      if (one.down.place == place) return &one;
    }
    return nullptr;
  }
};

inline constexpr uint64_t kMaxRank = 1 << 14;

// Error unless each of its matrices is one of the model's, that once, and none but a matrix that
// multiplies activations; the shapes agree, and formats can be decoded.
void check_fits(const StoredAdapter& adapter, const Checkpoint& model);

}  // namespace tessera
