// What pooled states go through in some embedding models, one linear map after the other: the dense
// modules of sentence-transformers (Reimers & Gurevych 2019; EmbeddingGemma 2025).
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "model/config.h"
#include "model/tensors.h"

namespace tessera {

class PooledDense {
 public:
  // Tells of a matrix for each of config.dense_widths.
  void for_each_tensor(TensorVisitor& visit, const Config& config);
  // Once the matrices are there.
  void allocate(Backend& backend);
  // The embedding that becomes of pooled states. Without matrices, they are it.
  void apply(Backend& backend, std::vector<float>& pooled) const;

 private:
  struct Stage {
    std::unique_ptr<Matrix> weights;  // nullptr: there is none
    Tensor in, out;                   // of one row
  };
  std::array<Stage, kMostDense> stages_;
};

}  // namespace tessera
