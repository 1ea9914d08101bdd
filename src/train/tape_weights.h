// Weights as TapeBackend holds them: f32, with what of them is learned.
#pragma once

#include <vector>

#include "backend/backend.h"
#include "base/aligned_buffer.h"
#include "model/tensors.h"
#include "train/learned.h"

namespace tessera::train {

class TapeMatrix final : public Matrix {
 public:
  // The gradient of rows [first, first + count), [count, columns].
  struct Whole {
    int first, count;
    float* gradient;
  };
  // What rows [from, from + count) of its B add to the outputs of those rows.
  struct LowRankPart {
    int first, count, from;
    LowRankPair* pair;
  };

  const float* data() const { return values.as<float>().data(); }
  bool is_learned() const { return !whole.empty() || !low_rank.empty(); }

  AlignedBuffer values;  // [rows, columns]
  std::vector<Whole> whole;
  std::vector<LowRankPart> low_rank;
};

class TapeVector final : public Vector {
 public:
  struct Whole {
    int first, count;
    float* gradient;  // [count]
  };

  std::vector<float> values;
  std::vector<Whole> whole;
};

// Tells the weights of a model's parts, once they are loaded, what of them is learned.
class LearnedBinder final : public TensorVisitor {
 public:
  explicit LearnedBinder(Learned& learned) : learned_(learned) {}

  void enter(int layer) override { layer_ = layer; }
  using TensorVisitor::matrix;
  void matrix(std::string_view label, std::span<const StoredRows> parts, int columns,
              std::unique_ptr<Matrix>& into) override;
  using TensorVisitor::vector;
  void vector(std::initializer_list<StoredRows> parts, Presence presence,
              std::unique_ptr<Vector>& into) override;
  void filter(StoredRows, int, std::unique_ptr<Vector>&) override {}
  void constant(int, float, std::unique_ptr<Vector>&) override {}
  void values(StoredRows, Presence, std::vector<float>&) override {}

 private:
  Learned& learned_;
  int layer_ = kNoLayer;
};

}  // namespace tessera::train
