// Where the CPU backend keeps the states of recurrent layers, and what the rows of the last step's
// trees would do to them: which of these count is known only when the tree is verified.
//
// States lie one behind the other, each with all layers: of a layer first the last inputs of its
// convolution, [taps - 1, channels], the oldest first, then a matrix [key_dim, value_dim] for each
// head. Memory that no state has used costs nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "base/aligned_buffer.h"

namespace tessera::cpu {

class StateStore {
 public:
  // Throws Error if the shape makes no sense or does not fit into memory.
  explicit StateStore(const KvShape& shape);

  const StateLayer& layer(int index) const { return layers_[static_cast<size_t>(index)].shape; }
  int layers() const { return static_cast<int>(layers_.size()); }

  // Of the convolution's inputs, and of a head's matrix; nullptr for kNoState, which is all zeros.
  const float* inputs(int32_t state, int layer) const;
  const float* matrix(int32_t state, int layer, int head) const;
  float* inputs(int32_t state, int layer);
  float* matrix(int32_t state, int layer, int head);

  // What row number `row` of a step brought, if it was a tree's: the convolution's input
  // [channels]; the keys [key_heads * key_dim], what was written [heads * value_dim] and the decay
  // [heads].
  struct Change {
    float *input, *keys, *written, *decays;
  };
  Change change(int row, int layer);

 private:
  struct Layer {
    StateLayer shape;
    size_t offset = 0;         // in a state, in floats
    size_t change_offset = 0;  // in what a row brings to all layers
  };

  std::vector<Layer> layers_;
  size_t state_floats_ = 0, change_floats_ = 0;
  AlignedBuffer states_, changes_;
};

}  // namespace tessera::cpu
