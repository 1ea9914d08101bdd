// Linear recurrences, a row at a time, so that chunks make no difference to any bit. Value
// dimensions are independent of each other: a thread takes kBlock of them, whose part of a head's
// state fits the first-level cache, through all rows of a run. A row reads and writes that part
// once: while it is updated, the outputs of the row and what the next row will find under its key
// are summed up.
//
// Order of operations: sums over key dimensions go in ascending order, in one accumulator a value
// dimension; S = fma(k, written, decay * S).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/recurrence.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>

#include "base/simd/simd.h"
//
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "backend/cpu/lanes.h"
#include "backend/cpu/recurrence.h"
#include "base/assert.h"

#ifndef TESSERA_CPU_RECURRENCE_ONCE
#define TESSERA_CPU_RECURRENCE_ONCE
namespace tessera::cpu {

// Value dimensions that are taken together: 4 vectors of the widest registers.
constexpr int kBlock = 64;
using Lanes = std::array<float, kBlock>;

// What a row does to kBlock columns of a head's state.
struct RowStep {
  const float *key, *query;  // [key_dim]
  const float* next_key;     // of the row that follows; nullptr: nobody asks
  float decay;
};

}  // namespace tessera::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

constexpr int kVectors = 4;  // accumulators enough to keep the multipliers busy
constexpr int kStep = kVectors * static_cast<int>(kLanes);
static_assert(kBlock % kStep == 0);

// found = S^T k.
void find_under_key(const float* state, int key_dim, const float* key, Lanes& found) {
  const FloatTag df;
  for (int first = 0; first < kBlock; first += kStep) {
    FloatVector sums[kVectors];
    for (FloatVector& sum : sums) sum = hn::Zero(df);
    for (int i = 0; i < key_dim; ++i) {
      const FloatVector k = hn::Set(df, key[i]);
      const float* row = state + static_cast<size_t>(i) * kBlock + first;
      TESSERA_UNROLL
      for (int v = 0; v < kVectors; ++v)
        sums[v] = hn::MulAdd(hn::LoadU(df, row + v * static_cast<int>(kLanes)), k, sums[v]);
    }
    for (int v = 0; v < kVectors; ++v)
      hn::StoreU(sums[v], df, found.data() + first + v * static_cast<int>(kLanes));
  }
}

// to = decay * from + k written^T; out = to^T q; next_found = to^T next_key.
template <bool kNext>
HWY_INLINE void advance_as(const float* from, float* to, int key_dim, const RowStep& row,
                           const Lanes& written, Lanes& out, Lanes& next_found) {
  const FloatTag df;
  const FloatVector decay = hn::Set(df, row.decay);
  for (int first = 0; first < kBlock; first += kStep) {
    FloatVector outs[kVectors], founds[kVectors], writes[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      outs[v] = founds[v] = hn::Zero(df);
      writes[v] = hn::LoadU(df, written.data() + first + v * static_cast<int>(kLanes));
    }
    for (int i = 0; i < key_dim; ++i) {
      const FloatVector k = hn::Set(df, row.key[i]), q = hn::Set(df, row.query[i]);
      const FloatVector next = kNext ? hn::Set(df, row.next_key[i]) : k;
      const size_t at = static_cast<size_t>(i) * kBlock + static_cast<size_t>(first);
      TESSERA_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const size_t lane = at + static_cast<size_t>(v) * kLanes;
        const FloatVector s = hn::MulAdd(k, writes[v], hn::Mul(decay, hn::LoadU(df, from + lane)));
        hn::StoreU(s, df, to + lane);
        outs[v] = hn::MulAdd(s, q, outs[v]);
        if constexpr (kNext) founds[v] = hn::MulAdd(s, next, founds[v]);
      }
    }
    for (int v = 0; v < kVectors; ++v) {
      const int lane = first + v * static_cast<int>(kLanes);
      hn::StoreU(outs[v], df, out.data() + lane);
      if constexpr (kNext) hn::StoreU(founds[v], df, next_found.data() + lane);
    }
  }
}

void advance(const float* from, float* to, int key_dim, const RowStep& row, const Lanes& written,
             Lanes& out, Lanes& next_found) {
  if (row.next_key != nullptr) {
    advance_as<true>(from, to, key_dim, row, written, out, next_found);
  } else {
    advance_as<false>(from, to, key_dim, row, written, out, next_found);
  }
}

// The same for nobody's query: state = decay * state + k written^T.
void replay(float* state, int key_dim, const float* key, float decay, const Lanes& written) {
  const FloatTag df;
  const FloatVector factor = hn::Set(df, decay);
  for (int i = 0; i < key_dim; ++i) {
    const FloatVector k = hn::Set(df, key[i]);
    float* row = state + static_cast<size_t>(i) * kBlock;
    for (int lane = 0; lane < kBlock; lane += static_cast<int>(kLanes)) {
      const FloatVector s = hn::MulAdd(k, hn::LoadU(df, written.data() + lane),
                                       hn::Mul(factor, hn::LoadU(df, row + lane)));
      hn::StoreU(s, df, row + lane);
    }
  }
}

// out = bias + the sum over taps of filter * inputs, the oldest first.
void convolve_row(const float* const* inputs, int taps, const float* filter, const float* bias,
                  int first, int count, int channels, float* out) {
  const FloatTag df;
  int c = first;
  for (; c + static_cast<int>(kLanes) <= first + count; c += static_cast<int>(kLanes)) {
    FloatVector sum = bias == nullptr ? hn::Zero(df) : hn::LoadU(df, bias + c);
    for (int tap = 0; tap < taps; ++tap) {
      if (inputs[tap] == nullptr) continue;  // before the text
      sum = hn::MulAdd(hn::LoadU(df, inputs[tap] + c),
                       hn::LoadU(df, filter + static_cast<size_t>(tap) * channels + c), sum);
    }
    hn::StoreU(sum, df, out + c);
  }
  for (; c < first + count; ++c) {  // one lane, by the same instructions
    const hn::CappedTag<float, 1> d1;
    auto sum = bias == nullptr ? hn::Zero(d1) : hn::LoadU(d1, bias + c);
    for (int tap = 0; tap < taps; ++tap) {
      if (inputs[tap] == nullptr) continue;
      sum = hn::MulAdd(hn::LoadU(d1, inputs[tap] + c),
                       hn::LoadU(d1, filter + static_cast<size_t>(tap) * channels + c), sum);
    }
    hn::StoreU(sum, d1, out + c);
  }
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::cpu {
HWY_EXPORT(find_under_key);
HWY_EXPORT(advance);
HWY_EXPORT(replay);
HWY_EXPORT(convolve_row);

namespace {

// kBlock columns of a head's state, or as many as there are; the others are zeros and stay so.
class StateBlock {
 public:
  StateBlock(const StateLayer& shape, int first_column)
      : shape_(shape),
        first_(first_column),
        columns_(std::min(kBlock, shape.value_dim - first_column)) {}

  size_t floats() const { return static_cast<size_t>(shape_.key_dim) * kBlock; }
  int columns() const { return columns_; }
  void load(const float* matrix, float* block) const {
    std::fill_n(block, floats(), 0.0f);
    if (matrix == nullptr) return;
    for (int i = 0; i < shape_.key_dim; ++i)
      std::copy_n(matrix + static_cast<size_t>(i) * shape_.value_dim + first_, columns_,
                  block + static_cast<size_t>(i) * kBlock);
  }
  void store(const float* block, float* matrix) const {
    for (int i = 0; i < shape_.key_dim; ++i)
      std::copy_n(block + static_cast<size_t>(i) * kBlock, columns_,
                  matrix + static_cast<size_t>(i) * shape_.value_dim + first_);
  }
  // Of a row that holds all heads' values one behind the other.
  Lanes lanes(const float* row, int head) const {
    Lanes result{};
    std::copy_n(row + static_cast<size_t>(head) * shape_.value_dim + first_, columns_,
                result.begin());
    return result;
  }
  void put(const Lanes& lanes, float* row, int head) const {
    std::copy_n(lanes.begin(), columns_,
                row + static_cast<size_t>(head) * shape_.value_dim + first_);
  }

 private:
  const StateLayer& shape_;
  int first_, columns_;
};

int key_head_of(const StateLayer& shape, int head) {
  return shape.grouped ? head / (shape.heads / shape.key_heads) : head % shape.key_heads;
}

// One head's recurrence over some value dimensions of one run.
class Walk {
 public:
  Walk(StateStore& store, const Recurrence& recurrence, const StateRun& run,
       const HostRecurrenceInputs& inputs, HostTensor out, int head, int first_column)
      : store_(store),
        recurrence_(recurrence),
        shape_(store.layer(recurrence.layer)),
        run_(run),
        inputs_(inputs),
        out_(out),
        head_(head),
        key_column_(key_head_of(shape_, head) * shape_.key_dim),
        block_(shape_, first_column) {}

  void chain(std::vector<float>& scratch) {
    scratch.resize(block_.floats());
    float* state = scratch.data();
    block_.load(store_.matrix(run_.from, recurrence_.layer, head_), state);
    Lanes found{};
    if (recurrence_.delta_rule) find(state, 0, found);
    auto save = run_.saves.begin();
    for (int row = 0; row < run_.rows; ++row) {
      const bool asks = recurrence_.delta_rule && row + 1 < run_.rows;
      step(state, state, row, asks ? key(row + 1) : nullptr, found);
      if (save == run_.saves.end() || save->row != row) continue;
      block_.store(state, store_.matrix(save->state, recurrence_.layer, head_));
      ++save;
    }
  }

  // Each node has a state of its own, for those that hang below it.
  void tree(std::vector<float>& scratch) {
    scratch.resize(block_.floats() * (static_cast<size_t>(run_.rows) + 1));
    const auto state_of = [&](int node) {
      return scratch.data() + static_cast<size_t>(node + 1) * block_.floats();
    };
    block_.load(store_.matrix(run_.from, recurrence_.layer, head_), state_of(-1));
    for (int node = 0; node < run_.rows; ++node) {
      const float* parent = state_of(run_.parents[static_cast<size_t>(node)]);
      Lanes found{};
      if (recurrence_.delta_rule) find(parent, node, found);
      step(parent, state_of(node), node, nullptr, found);
    }
  }

 private:
  const float* key(int row) const { return inputs_.keys.row(run_.first_row + row) + key_column_; }
  void find(const float* state, int row, Lanes& found) const {
    HWY_DYNAMIC_DISPATCH(find_under_key)(state, shape_.key_dim, key(row), found);
  }
  // `found`: under the row's key before it; becomes what is found under the next one's behind it.
  void step(const float* from, float* to, int row, const float* next_key, Lanes& found) {
    const int r = run_.first_row + row;
    const float decay = inputs_.decays.row(r)[head_], rate = inputs_.rates.row(r)[head_];
    Lanes written = block_.lanes(inputs_.values.row(r), head_);
    for (int lane = 0; lane < block_.columns(); ++lane) {
      const auto at = static_cast<size_t>(lane);
      if (recurrence_.delta_rule) written[at] -= decay * found[at];
      written[at] *= rate;
    }
    Lanes out{};
    HWY_DYNAMIC_DISPATCH(advance)
    (from, to, shape_.key_dim,
     {.key = key(row),
      .query = inputs_.queries.row(r) + key_column_,
      .next_key = next_key,
      .decay = decay},
     written, out, found);
    block_.put(out, out_.row(r), head_);
    if (!run_.parents.empty())
      block_.put(written, store_.change(r, recurrence_.layer).written, head_);
  }

  StateStore& store_;
  const Recurrence& recurrence_;
  const StateLayer& shape_;
  const StateRun& run_;
  const HostRecurrenceInputs& inputs_;
  HostTensor out_;
  int head_, key_column_;
  StateBlock block_;
};

int blocks_of(const StateLayer& shape) {
  return (shape.value_dim + kBlock - 1) / kBlock;
}

// The inputs that a convolution sees at some row: the row's own last, nullptr before the text.
class Window {
 public:
  Window(const StateStore& store, int layer, int32_t from)
      : inputs_(store.inputs(from, layer)),
        channels_(store.layer(layer).channels),
        taps_(store.layer(layer).taps) {}

  // `path`: the row and those before it in its step, the last first, as far as there are any.
  std::vector<const float*> before(std::span<const float* const> path) const {
    std::vector<const float*> window(static_cast<size_t>(taps_));
    for (int tap = 0; tap < taps_; ++tap) {
      const int back = taps_ - 1 - tap, in_step = static_cast<int>(path.size());
      if (back < in_step) {
        window[static_cast<size_t>(tap)] = path[static_cast<size_t>(back)];
      } else if (inputs_ != nullptr) {
        const int kept = taps_ - 1 - (back - in_step + 1);
        window[static_cast<size_t>(tap)] = inputs_ + static_cast<size_t>(kept) * channels_;
      }
    }
    return window;
  }
  // As the inputs of the state behind such a row.
  void keep(std::span<const float* const> window, float* into) const {
    for (int tap = 1; tap < taps_; ++tap) {
      float* to = into + static_cast<size_t>(tap - 1) * channels_;
      const float* from = window[static_cast<size_t>(tap)];
      if (from == nullptr) {
        std::fill_n(to, channels_, 0.0f);
      } else {
        std::copy_n(from, channels_, to);
      }
    }
  }

 private:
  const float* inputs_;
  int channels_, taps_;
};

}  // namespace

void convolve(ThreadPool& pool, StateStore& store, int layer, std::span<const float> filter,
              std::span<const float> bias, std::span<const StateRun> runs, HostTensor x,
              HostTensor out) {
  const StateLayer& shape = store.layer(layer);
  TESSERA_ASSERT(x.columns == shape.channels && out.columns == shape.channels);
  TESSERA_ASSERT(filter.size() == static_cast<size_t>(shape.channels) * shape.taps);
  std::vector<std::vector<const float*>> windows(static_cast<size_t>(x.rows));
  for (const StateRun& run : runs) {
    const Window window(store, layer, run.from);
    auto save = run.saves.begin();
    for (int row = 0; row < run.rows; ++row) {
      std::vector<const float*> path;
      for (int at = row; at >= 0 && std::ssize(path) < shape.taps;
           at = run.parents.empty() ? at - 1 : run.parents[static_cast<size_t>(at)])
        path.push_back(x.row(run.first_row + at));
      auto& inputs = windows[static_cast<size_t>(run.first_row + row)] = window.before(path);
      if (!run.parents.empty())
        std::copy_n(path[0], shape.channels, store.change(run.first_row + row, layer).input);
      if (save == run.saves.end() || save->row != row) continue;
      window.keep(inputs, store.inputs(save->state, layer));
      ++save;
    }
  }
  constexpr int kAloneRows = 4, kPieceChannels = 2048;
  const int pieces = (shape.channels + kPieceChannels - 1) / kPieceChannels;
  const auto piece = [&](int index, int) {
    const int row = index / pieces, first = index % pieces * kPieceChannels;
    HWY_DYNAMIC_DISPATCH(convolve_row)
    (windows[static_cast<size_t>(row)].data(), shape.taps, filter.data(),
     bias.empty() ? nullptr : bias.data(), first, std::min(kPieceChannels, shape.channels - first),
     shape.channels, out.row(row));
  };
  if (x.rows <= kAloneRows) {
    for (int index = 0; index < x.rows * pieces; ++index) piece(index, 0);
  } else {
    pool.parallel_for(x.rows * pieces, piece);
  }
}

void recur(ThreadPool& pool, StateStore& store, const Recurrence& recurrence,
           std::span<const StateRun> runs, const HostRecurrenceInputs& inputs, HostTensor out) {
  const StateLayer& shape = store.layer(recurrence.layer);
  for (const StateRun& run : runs) {
    if (run.parents.empty()) continue;
    for (int row = run.first_row; row < run.first_row + run.rows; ++row) {
      const StateStore::Change change = store.change(row, recurrence.layer);
      std::copy_n(inputs.keys.row(row), shape.key_heads * shape.key_dim, change.keys);
      std::copy_n(inputs.decays.row(row), shape.heads, change.decays);
    }
  }
  const int blocks = blocks_of(shape), of_run = shape.heads * blocks;
  std::vector<std::vector<float>> scratch(static_cast<size_t>(pool.threads()));
  pool.parallel_for(static_cast<int>(runs.size()) * of_run, [&](int index, int thread) {
    const StateRun& run = runs[static_cast<size_t>(index / of_run)];
    const int head = index % of_run / blocks, first = index % blocks * kBlock;
    Walk walk(store, recurrence, run, inputs, out, head, first);
    auto& memory = scratch[static_cast<size_t>(thread)];
    run.parents.empty() ? walk.chain(memory) : walk.tree(memory);
  });
}

namespace {

void keep_inputs(StateStore& store, const StatePath& path, int layer) {
  const Window window(store, layer, path.from);
  for (const StateSave& save : path.saves) {
    std::vector<const float*> inputs;
    for (int at = save.row; at >= 0; --at)
      inputs.push_back(
          store.change(path.first_row + path.nodes[static_cast<size_t>(at)], layer).input);
    window.keep(window.before(inputs), store.inputs(save.state, layer));
  }
}

void keep_block(StateStore& store, const StatePath& path, int layer, int head, int first_column,
                std::vector<float>& scratch) {
  const StateLayer& shape = store.layer(layer);
  const StateBlock block(shape, first_column);
  scratch.resize(block.floats());
  block.load(store.matrix(path.from, layer, head), scratch.data());
  auto save = path.saves.begin();
  for (int place = 0; place < static_cast<int>(path.nodes.size()); ++place) {
    const StateStore::Change change =
        store.change(path.first_row + path.nodes[static_cast<size_t>(place)], layer);
    HWY_DYNAMIC_DISPATCH(replay)
    (scratch.data(), shape.key_dim,
     change.keys + static_cast<size_t>(key_head_of(shape, head)) * shape.key_dim,
     change.decays[head], block.lanes(change.written, head));
    if (save == path.saves.end() || save->row != place) continue;
    block.store(scratch.data(), store.matrix(save->state, layer, head));
    ++save;
  }
}

}  // namespace

void keep_states(ThreadPool& pool, StateStore& store, std::span<const StatePath> paths) {
  std::vector<std::vector<float>> scratch(static_cast<size_t>(pool.threads()));
  for (int layer = 0; layer < store.layers(); ++layer) {
    const StateLayer& shape = store.layer(layer);
    for (const StatePath& path : paths)
      if (shape.taps > 0) keep_inputs(store, path, layer);
    const int blocks = blocks_of(shape), of_path = shape.heads * blocks;
    pool.parallel_for(static_cast<int>(paths.size()) * of_path, [&](int index, int thread) {
      keep_block(store, paths[static_cast<size_t>(index / of_path)], layer,
                 index % of_path / blocks, index % blocks * kBlock,
                 scratch[static_cast<size_t>(thread)]);
    });
  }
}

}  // namespace tessera::cpu
#endif  // HWY_ONCE
