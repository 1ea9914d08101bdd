// Low-rank adapters on top of a loaded model, quantized or not (LoRA, Hu et al. 2021): rows of one
// step may go through different ones, each as it would alone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "backend/backend.h"
#include "checkpoint/stored_adapter.h"
#include "model/batch.h"
#include "model/tensors.h"

namespace tessera {

// An adapter in a backend's memory. Made by walking the tensors of the model that it is for, whose
// matrices are loaded: visits what there is to be adapted.
class LoraAdapter final : public TensorVisitor {
 public:
  // Both must outlive the walk; the adapter's files need not stay.
  LoraAdapter(const StoredAdapter& stored, Backend& backend)
      : stored_(&stored), backend_(backend) {}

  void enter(int layer) override { layer_ = layer; }
  using TensorVisitor::matrix;
  void matrix(std::string_view label, std::span<const StoredRows> parts, int columns,
              std::unique_ptr<Matrix>& into) override;
  void vector(std::initializer_list<StoredRows>, Presence, std::unique_ptr<Vector>&) override {}
  void filter(StoredRows, int, std::unique_ptr<Vector>&) override {}
  void constant(int, float, std::unique_ptr<Vector>&) override {}
  void values(StoredRows, Presence, std::vector<float>&) override {}
  // Ends the walk. Error if it has matrices that the model lacks.
  void finish();

  // What it adds to a product of this matrix; nullptr: nothing.
  const LowRank* find(const Matrix& matrix) const;
  size_t bytes() const { return bytes_; }

 private:
  const StoredAdapter* stored_;
  Backend& backend_;
  int layer_ = kNoLayer;
  size_t taken_ = 0;  // of stored_->matrices
  std::unordered_map<const Matrix*, std::unique_ptr<LowRank>> low_ranks_;
  size_t bytes_ = 0;
};

// Which rows of a step go through which adapter.
class StepAdapters {
 public:
  // `mixes`: of each row, null or an AdapterMix. Both must outlive it.
  StepAdapters(std::span<const std::unique_ptr<LoraAdapter>> adapters,
               std::span<const AdapterMix* const> mixes);

  // What is added to a product of this matrix; until the next call.
  std::span<const LowRankRows> added_to(const Matrix& matrix) const;

 private:
  struct Group {
    const LoraAdapter* adapter;
    std::vector<int32_t> rows;
    std::vector<float> scales;
  };
  std::vector<Group> groups_;  // in the order of the adapters, so that a row's sums are, too
  mutable std::vector<LowRankRows> added_;
};

}  // namespace tessera
