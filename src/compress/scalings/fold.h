// Where scales can move inside a layer without a change of what it computes.
//
// The columns of the matrices that read some channels are multiplied by scales s, and what gives
// the channels is divided by them: the weights of a norm, or the rows of the matrix before. So
// W diag(s) (x / s) = W x. The places are those of AWQ (Lin et al. 2023) and SmoothQuant (Xiao et
// al. 2022); all are exact in every family that the model's table knows.
#pragma once

#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/config.h"
#include "model/taps.h"

namespace tessera {

struct Fold {
  // Elements of a vector, or rows of a matrix, from `first` on.
  struct Divided {
    TensorRole role;
    int first = 0;
  };
  TapPoint inputs;                   // the channels
  std::vector<TensorRole> matrices;  // that read them: their columns are multiplied
  std::vector<Divided> divided;      // that give them
  // The element that channel c comes from: query heads that share a value head share its scales.
  std::vector<int> source;
  int sources = 0;  // elements in all

  // A scale for each source becomes one for each channel.
  std::vector<float> spread(const std::vector<float>& scales) const;
};

// Of a layer that is stored so. Norm to queries, keys and values; values to attention's output;
// norm to gate and up; up to down. Those that the family has: a norm of their own behind which
// matrices stand, a product of up and gate. Of a recurrence norm to all that it reads, and its
// output's norm, or what gates it, to its output.
std::vector<Fold> folds_of(const Checkpoint& checkpoint, const Config& config, int layer);

}  // namespace tessera
