// What structured pruning leaves of a model: how much of it, and which parts of each tensor.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "checkpoint/stored_tensor.h"
#include "compress/prune.h"
#include "model/config.h"

namespace tessera {

// Of the first layer, if they differ.
ModelShape shape_of(const Config& config);

// What the shares of `options` leave: a feed-forward network of a multiple of 32 neurons (256, if
// that is near, for the blocks of k-quants); whole groups of query heads with the key-value head
// that they share, or equally many query heads of each group, whichever is nearer to the share.
// Error if a share cuts nothing, or the model cannot be cut that way: layers that take turns, or
// heads and neurons of layers that differ.
ModelShape cut_shape(const Config& config, const PruneOptions& options);

// Which heads and neurons of a layer stay, ascending. No heads: all of them, whatever mixes the
// positions.
struct LayerParts {
  std::vector<size_t> heads, kv_heads, neurons;
};

// Rows or columns of a tensor that stay; `all` if nothing of it goes.
struct TensorPart {
  enum class Axis { kAll, kRows, kColumns } axis = Axis::kAll;
  std::vector<size_t> kept = {};
};
// Error for a tensor of which it is not known what belongs to which head or neuron.
TensorPart part_of(const StoredTensor& tensor, const Config& config, const LayerParts& parts);

// The neurons of a layer with the highest scores. `after`: how many there are to be.
std::vector<size_t> best_neurons(const ModelShape& before, const ModelShape& after,
                                 std::span<const double> scores);
// The same of its heads, and of the key-value heads that they share.
void choose_heads(const ModelShape& before, const ModelShape& after, std::span<const double> scores,
                  LayerParts& parts);

}  // namespace tessera
