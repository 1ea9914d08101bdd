// The tensors that a model's parts are made of, told one by one to whoever asks: loading fills them
// (loader.h), reports count them, and what trains or adapts them will walk them the same way.
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "checkpoint/tensor_names.h"

namespace tessera {

// Rows [first, first + count) of a stored tensor that has `rows` of them: all, unless a source
// packs several matrices (gate and up, all experts) into one tensor.
struct StoredRows {
  TensorRole role;  // in the layer that was entered
  int rows;
  int first = 0;
  int count = rows;
  int each = count;  // of each of the matrices that are packed
};

class TensorVisitor {
 public:
  virtual ~TensorVisitor() = default;

  // What follows belongs to this layer, or with kNoLayer to none.
  virtual void enter(int layer) = 0;

  // A matrix [rows of all parts, columns], its parts stacked. `label`: what reports call it,
  // "down".
  virtual void matrix(std::string_view label, std::span<const StoredRows> parts, int columns,
                      std::unique_ptr<Matrix>& into) = 0;
  void matrix(std::string_view label, std::initializer_list<StoredRows> parts, int columns,
              std::unique_ptr<Matrix>& into) {
    matrix(label, std::span(parts.begin(), parts.size()), columns, into);
  }

  enum class Presence { kRequired, kOptional };
  // A vector, its parts joined; nothing where an optional one's first part is not stored.
  virtual void vector(std::initializer_list<StoredRows> parts, Presence presence,
                      std::unique_ptr<Vector>& into) = 0;
  // The filters of a convolution: stored [channels, taps], as a vector [taps, channels].
  virtual void filter(StoredRows stored, int taps, std::unique_ptr<Vector>& into) = 0;
  // A vector that no checkpoint holds: so many times a value.
  virtual void constant(int length, float value, std::unique_ptr<Vector>& into) = 0;
  // A vector that the host computes with: its values, empty where an optional one is not stored.
  virtual void values(StoredRows stored, Presence presence, std::vector<float>& into) = 0;
  void vector(StoredRows stored, std::unique_ptr<Vector>& into) {
    vector({stored}, Presence::kRequired, into);
  }
};

}  // namespace tessera
