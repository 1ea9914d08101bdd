// What of a model is learned: tensors of its own, or what low-rank adapters add to them.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/stored_tensor.h"

namespace tessera::train {

// Values that are learned, in f32, and d loss / d value of them, which whoever steps sets to zero.
struct Parameter {
  std::string name;           // for people and files
  int rows = 0, columns = 0;  // a vector is one row
  std::vector<float> values, gradient;

  // What a forward pass sees: the values as they are in this format, encoded anew once they have
  // changed. The gradient passes as if they were not rounded (straight through, Bengio et al. 2013,
  // arXiv 1308.3432). nullptr: it sees the values. Set before a network is made of it.
  const Format* grid = nullptr;
  std::vector<std::byte> rounded;  // with a grid
  bool has_changed = true;         // since then: for whoever changes values to say
  // What is 0 stays 0: it has no gradient, and an optimizer forgets what it knew of it.
  bool keeps_zeros = false;

  Parameter() = default;
  Parameter(std::string of, int row_count, int column_count)
      : name(std::move(of)),
        rows(row_count),
        columns(column_count),
        values(static_cast<size_t>(row_count) * static_cast<size_t>(column_count)),
        gradient(values.size()) {}
};

// scale B A is added to a matrix [up.rows, down.columns] (LoRA, Hu et al. 2021).
struct LowRankPair {
  Parameter down, up;  // A [rank, columns], B [rows, rank]
  float scale = 1;
};

// By what they belong to. None moves while a model is bound to them.
struct Learned {
  std::map<TensorPlace, Parameter> whole;  // instead of what the checkpoint has; may have grids
  std::map<TensorPlace, LowRankPair> low_rank;

  // All of them, always in the same order.
  std::vector<Parameter*> parameters() {
    std::vector<Parameter*> all;
    for (auto& [place, parameter] : whole) all.push_back(&parameter);
    for (auto& [place, pair] : low_rank) all.insert(all.end(), {&pair.down, &pair.up});
    return all;
  }
};

// The values as a tensor in F32, whose bytes they stay.
StoredTensor stored_tensor(const Parameter& parameter, TensorPlace place);
// The values in that format, rounded to nearest. Error for a value that a format of blocks cannot
// hold: NaN or infinity.
std::vector<std::byte> encoded(const Parameter& parameter, const Format& format, ThreadPool& pool);

// What passes see of parameters that have a grid and have changed becomes what they are now.
void round_to_grids(std::span<Parameter* const> parameters, ThreadPool& pool);
// The gradients of zeros that are to stay become zero.
void keep_zeros(std::span<Parameter* const> parameters, ThreadPool& pool);

}  // namespace tessera::train
