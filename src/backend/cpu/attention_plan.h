// Calls of attend, cut into items that threads do independently: once a step for all layers that
// are alike.
#pragma once

#include <algorithm>
#include <deque>
#include <span>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/kv_store.h"
#include "base/host_tensor.h"

namespace tessera::cpu {

// Contexts are closed and merged every kSplit logical positions: part of the result's definition.
inline constexpr int kSplit = 512;

// A split's result, where other threads merge it: [max, sum, 0.., acc[padded_dim]].
inline constexpr int kPartialHeader = 16;

struct AttentionCall {
  const CpuKvStore* kv;
  AttentionParameters parameters;
  std::span<const float> sinks = {};  // of each head; empty: none
  HostTensor q, out;
  std::span<const RowContext> contexts;
  float* partials = nullptr;  // [rows][heads][max_splits][kPartialHeader + padded_dim]
  int max_splits = 0;

  const KvLayer& layer() const { return kv->shape.layers[static_cast<size_t>(parameters.layer)]; }
  const TileLayout& layout() const { return kv->layout(parameters.layer); }
  int rows() const { return static_cast<int>(contexts.size()); }
  int group_heads() const { return parameters.heads / layer().heads; }  // that share a KV head
  int position(int row) const { return contexts[static_cast<size_t>(row)].position; }
  int direct(int row) const { return contexts[static_cast<size_t>(row)].direct; }
  std::span<const int32_t> block_table(int row) const {
    return contexts[static_cast<size_t>(row)].block_table;
  }
  bool same_sequence(int a, int b) const { return block_table(a).data() == block_table(b).data(); }

  // The positions that a row sees: [first_position, last_position].
  int first_position(int row) const {
    if (parameters.chunk > 0) return position(row) / parameters.chunk * parameters.chunk;
    return parameters.window > 0 ? std::max(0, position(row) - parameters.window + 1) : 0;
  }
  int last_position(int row) const {
    const int ahead = contexts[static_cast<size_t>(row)].ahead;
    return position(row) + (parameters.window > 0 ? std::min(ahead, parameters.window - 1) : ahead);
  }
  // ... within [begin, end): an empty range has second <= first.
  std::pair<int, int> visible(int row, int begin, int end) const {
    return {std::max(begin, first_position(row)), std::min(end, last_position(row) + 1)};
  }
  std::pair<int, int> visible_in_tile(int row, int tile) const {
    return visible(row, tile * kBlockTokens, (tile + 1) * kBlockTokens);
  }
  std::pair<int, int> visible_in_split(int row, int split) const {
    return visible(row, split * kSplit, (split + 1) * kSplit);
  }
  float* partial(int row, int head, int split) const {
    const size_t index = (static_cast<size_t>(row) * parameters.heads + head) * max_splits + split;
    return partials + index * (kPartialHeader + layout().padded_dim);
  }
};

// Some rows, one KV head, and one split (or, -1, all of them).
struct AttentionItem {
  std::span<const int> rows;  // those of one sequence in order; of several, if these share blocks
  int kv_head, split;
};

// Neither the grouping nor the splitting enters the results, so both may follow the thread count.
struct AttentionPlan {
  std::vector<AttentionItem> items;  // the longest first
  bool alone = false;                // too little work to wake other threads
  bool split = false;                // items leave partials
};

// The plans of a step.
class AttentionPlans {
 public:
  // `contexts`, and what it points to, must outlive it.
  explicit AttentionPlans(std::span<const RowContext> contexts);
  AttentionPlans(const AttentionPlans&) = delete;
  AttentionPlans& operator=(const AttentionPlans&) = delete;

  std::span<const RowContext> contexts() const { return contexts_; }
  int max_splits() const { return max_splits_; }  // of any row

  // The plan for a call on all of the contexts. It depends on the heads, their length, the window
  // and the chunks, so that most models make one or two a step, each when the first layer asks for
  // it. Always with the same `threads`.
  const AttentionPlan& plan(const AttentionCall& call, int threads);

 private:
  struct Kind {
    int heads, kv_heads, head_dim, window, chunk;
    bool operator==(const Kind&) const = default;
  };
  struct Planned {
    Kind kind;
    AttentionPlan plan;
  };

  std::span<const RowContext> contexts_;
  int max_splits_ = 0;
  // All rows: those of one sequence in order, and sequences that share blocks of a prefix beside
  // each other, so that an item reads these once for all of its rows.
  std::vector<int> ordered_;
  std::deque<Planned> planned_;  // deque: they never move
};

}  // namespace tessera::cpu
