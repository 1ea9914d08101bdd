// What the reference backend keeps: memory that only its operations can read, weights, the rows of
// a step, keys and values, and the states of recurrent layers.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "base/error.h"

namespace tessera::reference_parts {

// Floats that can be read and written only while somebody has them open.
class GuardedMemory final : public Memory {
 public:
  explicit GuardedMemory(size_t floats) : bytes_(std::max<size_t>(floats, 1) * sizeof(float)) {
    data_ = ::mmap(nullptr, bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data_ == MAP_FAILED) throw std::bad_alloc();
  }
  ~GuardedMemory() override { ::munmap(data_, bytes_); }
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  const float* address() const { return static_cast<const float*>(data_); }
  float* open() {
    if (users_++ == 0) protect(PROT_READ | PROT_WRITE);
    return static_cast<float*>(data_);
  }
  void close() {
    if (--users_ == 0) protect(PROT_NONE);
  }

 private:
  void protect(int access) {
    if (::mprotect(data_, bytes_, access) != 0) fail("mprotect failed");
  }

  size_t bytes_;
  void* data_;
  int users_ = 0;
};

// A tensor's values, for as long as an operation lasts.
class Opened {
 public:
  explicit Opened(const Tensor& x)
      : memory_(static_cast<GuardedMemory&>(*x.memory)),
        values_{memory_.open() + x.offset, x.rows, x.columns, x.stride} {}
  ~Opened() { memory_.close(); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  const HostTensor* operator->() const { return &values_; }
  std::span<float> row(int r) const {
    return {values_.row(r), static_cast<size_t>(values_.columns)};
  }

 private:
  GuardedMemory& memory_;
  HostTensor values_;
};

class ReferenceVector final : public Vector {
 public:
  explicit ReferenceVector(std::span<const float> given) : values(given.begin(), given.end()) {
    size = static_cast<int>(values.size());
  }
  const std::vector<float> values;
};
inline std::span<const float> values_of(const Vector& vector) {
  return static_cast<const ReferenceVector&>(vector).values;
}

class ReferenceRope final : public RopeTable {
 public:
  explicit ReferenceRope(Rope given) : rope(std::move(given)) {}
  const Rope rope;
};

class ReferenceLowRank final : public LowRank {
 public:
  struct Up {
    int first_row, rows, ranks, down;
    std::vector<float> values;  // [rows, ranks]
  };
  std::vector<std::vector<float>> downs;  // [ranks, columns] each
  std::vector<float> scales;              // of each of them
  std::vector<Up> ups;

  // What it adds to `output`, one of the rows of the matrix.
  double product(int output, std::span<const float> x) const {
    double sum = 0;
    for (const Up& up : ups) {
      if (output < up.first_row || output >= up.first_row + up.rows) continue;
      const std::vector<float>& down = downs[static_cast<size_t>(up.down)];
      for (int k = 0; k < up.ranks; ++k) {
        const float* row = down.data() + static_cast<size_t>(k) * x.size();
        sum += std::inner_product(x.begin(), x.end(), row, 0.0) *
               up.values[static_cast<size_t>((output - up.first_row) * up.ranks + k)] *
               static_cast<double>(scales[static_cast<size_t>(up.down)]);
      }
    }
    return sum;
  }
};

// What all of `added` add to an output of one row.
inline double added_to(std::span<const LowRankRows> added, int row, int output,
                       std::span<const float> x) {
  double sum = 0;
  for (const LowRankRows& one : added) {
    const auto place = std::ranges::find(one.rows, row);
    if (place == one.rows.end()) continue;
    sum += static_cast<const ReferenceLowRank&>(*one.weights).product(output, x) *
           static_cast<double>(one.scales[static_cast<size_t>(place - one.rows.begin())]);
  }
  return sum;
}

class ReferenceMatrix final : public Matrix {
 public:
  double product(int output, std::span<const float> x) const {
    const float* weights = values.data() + static_cast<size_t>(output) * x.size();
    return std::inner_product(x.begin(), x.end(), weights, 0.0, std::plus(),
                              [](double a, float b) { return a * b; });
  }
  std::vector<float> values;  // [rows, columns]
};

// A copy, as of what a device uploads: what the host's rows become later makes no difference.
class ReferenceRows final : public PreparedRows {
 public:
  struct Run {
    int first_row, rows;
    int32_t from;
    std::vector<int32_t> parents;  // of each row; -1: the state that the run goes on from
    std::vector<StateSave> saves;
  };

  explicit ReferenceRows(const RowMetadata& rows)
      : PreparedRows(rows),
        positions(rows.positions.begin(), rows.positions.end()),
        slots(rows.slots.begin(), rows.slots.end()) {
    for (const RowContext& context : rows.contexts) {
      std::vector<int32_t>& seen = contexts.emplace_back();
      for (int p = 0; p <= context.position + context.ahead; ++p) {
        seen.push_back(p < context.direct ? slot_of(context.block_table, p)
                                          : context.tail[static_cast<size_t>(p - context.direct)]);
      }
    }
    for (const StateRun& run : rows.runs) {
      runs.push_back({.first_row = run.first_row,
                      .rows = run.rows,
                      .from = run.from,
                      .parents = {run.parents.begin(), run.parents.end()},
                      .saves = {run.saves.begin(), run.saves.end()}});
      for (int row = static_cast<int>(run.parents.size()); row < run.rows; ++row)
        runs.back().parents.push_back(row - 1);
    }
  }
  const std::vector<int32_t> positions, slots;
  std::vector<std::vector<int32_t>> contexts;  // the slot of each position that a row may see
  std::vector<Run> runs;
};
// std::bad_cast for rows that another backend prepared, or none.
inline const ReferenceRows& reference(const PreparedRows& rows) {
  return dynamic_cast<const ReferenceRows&>(rows);
}

// The states of recurrent layers: those that are kept, and that behind each row of the last step.
class ReferenceStates {
 public:
  struct State {
    std::deque<std::vector<float>> inputs;  // the oldest first
    std::vector<float> matrices;            // [heads, key_dim, value_dim]
  };

  explicit ReferenceStates(const KvShape& shape) {
    for (const KvLayer& layer : shape.layers) shapes_.push_back(layer.state);
  }
  const StateLayer& shape(int layer) const { return shapes_[static_cast<size_t>(layer)]; }

  State& at(const ReferenceRows::Run& run, int layer, int row) {
    return of_rows_[{run.first_row + row, layer}];
  }
  State before(const ReferenceRows::Run& run, int layer, int row) {
    const int32_t parent = run.parents[static_cast<size_t>(row)];
    return parent < 0 ? kept(run.from, layer) : at(run, layer, parent);
  }
  template <class Member>
  void keep(const ReferenceRows::Run& run, int layer, Member member) {
    for (const StateSave& save : run.saves)
      kept_[{save.state, layer}].*member = at(run, layer, save.row).*member;
  }
  void keep(std::span<const StatePath> paths) {
    for (const StatePath& path : paths) {
      for (const StateSave& save : path.saves) {
        const int row = path.first_row + path.nodes[static_cast<size_t>(save.row)];
        for (int layer = 0; layer < static_cast<int>(shapes_.size()); ++layer)
          kept_[{save.state, layer}] = of_rows_[{row, layer}];
      }
    }
  }

 private:
  State kept(int32_t state, int layer) {
    const StateLayer& of = shape(layer);
    if (state != kNoState) return kept_.at({state, layer});
    State zeros;
    if (of.taps > 0)
      zeros.inputs.assign(static_cast<size_t>(of.taps - 1),
                          std::vector<float>(static_cast<size_t>(of.channels)));
    zeros.matrices.resize(of.values() - of.inputs());
    return zeros;
  }

  using Place = std::pair<int, int>;  // a state or a row, and a layer
  std::vector<StateLayer> shapes_;
  std::map<Place, State> kept_, of_rows_;
};

// Keys and values as the KV format gives them back: [slot][layer][key, value][heads * head_dim].
class ReferenceKv final : public KvStore {
 public:
  explicit ReferenceKv(const KvShape& given) : states(given) {
    shape = given;
    for (const KvLayer& layer : shape.layers) {
      offsets_.push_back(slot_floats_);
      slot_floats_ += 2 * static_cast<size_t>(layer.heads) * static_cast<size_t>(layer.head_dim);
    }
    values_.resize(static_cast<size_t>(shape.blocks) * kBlockTokens * slot_floats_);
  }
  const KvLayer& layer(int index) const { return shape.layers[static_cast<size_t>(index)]; }
  // All layers of a slot.
  std::span<float> at(int slot) {
    return std::span(values_).subspan(static_cast<size_t>(slot) * slot_floats_, slot_floats_);
  }
  std::span<float> at(int slot, int index, int key_or_value) {
    const auto columns = static_cast<size_t>(layer(index).heads) * layer(index).head_dim;
    return at(slot).subspan(offsets_[static_cast<size_t>(index)] + key_or_value * columns, columns);
  }
  std::span<const float> at(int slot, int index, int key_or_value) const {
    return const_cast<ReferenceKv&>(*this).at(slot, index, key_or_value);
  }

  ReferenceStates states;

 private:
  std::vector<size_t> offsets_;  // of each layer in a slot
  size_t slot_floats_ = 0;
  std::vector<float> values_;
};

}  // namespace tessera::reference_parts
