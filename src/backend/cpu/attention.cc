// Attention: which tiles each query meets, in which order, on which thread. The kernels are in
// attention-inl.h.
//
// A row's context is walked in tiles of 32 logical positions, ascending. Every kSplit positions the
// running (max, sum, acc) is closed and merged into the row's total, in ascending order. So long
// contexts can be cut there and given to several threads, and the result is the same bits as when
// one thread walks through. Neither which rows are grouped nor how items are scheduled enters the
// arithmetic of a row.
//
// Rows of one sequence, and of sequences whose block tables begin alike (a shared prompt), form a
// group. Its rows walk together, and each tile is read once for all whose tables name it. A tile
// that holds any tail position of a row (a token tree's nodes) is gathered for that row into
// the lanes where its keys would lie, and goes through the same kernels.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/attention.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>

#include "base/simd/simd.h"
//
#include "backend/cpu/attention.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "backend/cpu/attention-inl.h"
#include "backend/cpu/attention_plan.h"
#include "backend/cpu/kv_store.h"
#include "backend/cpu/scratch.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

// Up to kMaxQueries queries (rows of one sequence x heads of one KV head) that go through the
// kernels together.
struct QueryBlock {
  int row = 0, rows = 0;    // rows of the call
  int head = 0, heads = 0;  // query heads; rows x heads <= kMaxQueries
  float* q = nullptr;       // [queries][head_dim]
  float* acc = nullptr;     // [queries][padded_dim]: of the present split
  float* total = nullptr;   // [queries][padded_dim]: of the splits before
  float total_max[8], total_sum[8];
  SoftmaxState softmax;

  int queries() const { return rows * heads; }
};

// Does one item: walks the tiles of its rows for one KV head.
class ItemWalker {
 public:
  ItemWalker(const AttentionCall& call, const AttentionItem& item, Scratch& scratch)
      : call_(call), item_(item), layout_(call.layout()) {
    lay_out(scratch);
    for (int b = 0; b < block_count_; ++b) pack_queries(blocks_[b]);
  }

  void walk() {
    int first = std::numeric_limits<int>::max(), last = 0;
    for (const int row : item_.rows) {
      first = std::min(first, call_.first_position(row));
      last = std::max(last, call_.last_position(row));
    }
    first /= kSplit;
    last /= kSplit;
    if (item_.split >= 0) first = last = item_.split;
    for (int split = first; split <= last; ++split) walk_split(split);
    if (item_.split < 0) finish();
  }

 private:
  // Cuts the rows into blocks of whole rows (or a row's heads into parts) and the scratch memory
  // into their arrays.
  void lay_out(Scratch& scratch) {
    const int heads = call_.group_heads();
    const int parts = (heads + kMaxQueries - 1) / kMaxQueries;
    const int heads_per_block = (heads + parts - 1) / parts;
    const int rows_per_block = std::max(1, kMaxQueries / heads);
    const size_t max_blocks = item_.rows.size() * static_cast<size_t>(parts);
    const size_t dim = static_cast<size_t>(layout_.padded_dim);
    const size_t tile = dim * kBlockTokens, vectors = dim * kMaxQueries;
    const size_t scales = static_cast<size_t>(layout_.head_dim);
    Arena arena =
        scratch.reserve(sizeof(QueryBlock) * max_blocks + layout_.bytes +
                            sizeof(float) * (max_blocks * 3 * vectors + 2 * tile + 2 * scales +
                                             static_cast<size_t>(kMaxQueries * kBlockTokens)),
                        max_blocks * 4 + 8);
    blocks_ = arena.take<QueryBlock>(max_blocks);
    scores_ = arena.take<float>(kMaxQueries * kBlockTokens);
    keys_ = arena.take<float>(tile);
    values_ = arena.take<float>(tile);
    key_scales_ = arena.take<float>(scales);
    value_scales_ = arena.take<float>(scales);
    gathered_ = arena.take<std::byte>(layout_.bytes);
    for (size_t i = 0; i < item_.rows.size();) {
      const int row = item_.rows[i];
      int rows = 1;
      while (rows < rows_per_block && i + rows < item_.rows.size() &&
             call_.same_sequence(row, item_.rows[i + rows]) && item_.rows[i + rows] == row + rows) {
        ++rows;
      }
      for (int head = 0; head < heads; head += heads_per_block) {
        QueryBlock& block = *new (&blocks_[block_count_++]) QueryBlock;
        block.row = row;
        block.rows = rows;
        block.head = item_.kv_head * heads + head;
        block.heads = std::min(heads_per_block, heads - head);
        block.q = arena.take<float>(vectors);
        block.acc = arena.take<float>(vectors);
        block.total = arena.take<float>(vectors);
      }
      i += rows;
    }
  }

  void pack_queries(QueryBlock& block) const {
    const int queries = block.queries(), dim = layout_.head_dim;
    for (int m = 0; m < queries; ++m) {
      const float* q = call_.q.row(block.row + m / block.heads) +
                       static_cast<size_t>(block.head + m % block.heads) * dim;
      std::copy_n(q, dim, block.q + m * dim);
      block.total_max[m] = -std::numeric_limits<float>::infinity();
      block.total_sum[m] = 0.0f;
    }
    std::fill_n(block.softmax.correction, 16, 0.0f);
  }

  // --- One split

  void walk_split(int split) {
    int first = std::numeric_limits<int>::max(), last = -1;  // tiles
    for (const int row : item_.rows) {
      const auto [begin, end] = call_.visible_in_split(row, split);
      if (begin >= end) continue;
      first = std::min(first, begin / kBlockTokens);
      last = std::max(last, (end - 1) / kBlockTokens);
    }
    for (int b = 0; b < block_count_; ++b) open_split(blocks_[b]);
    walk_direct(first, last);
    for (const int row : item_.rows) {  // what is gathered comes last in its row
      for (int tile = std::max(first, call_.direct(row) / kBlockTokens); tile <= last; ++tile) {
        const auto [begin, end] = call_.visible_in_tile(row, tile);
        if (begin < end && end > call_.direct(row)) walk_gathered(row, tile, end);
      }
    }
    for (int b = 0; b < block_count_; ++b) close_split(blocks_[b], split);
  }

  void open_split(QueryBlock& block) const {
    const int queries = block.queries();
    std::fill_n(block.softmax.max, queries, -std::numeric_limits<float>::infinity());
    std::fill_n(block.softmax.sum[0], queries * 16, 0.0f);
    std::fill_n(block.acc, static_cast<size_t>(queries) * layout_.padded_dim, 0.0f);
  }

  // Merges the split into the total, or hands it out for merge_row.
  void close_split(QueryBlock& block, int split) const {
    const int dim = layout_.padded_dim;
    for (int m = 0; m < block.queries(); ++m) {
      const int row = block.row + m / block.heads;
      const auto [begin, end] = call_.visible_in_split(row, split);
      if (begin >= end) continue;
      const float max = block.softmax.max[m];
      const float sum = hn::GetLane(hn::SumOfLanes(DF(), hn::LoadU(DF(), block.softmax.sum[m])));
      const float* acc = block.acc + static_cast<size_t>(m) * dim;
      if (item_.split >= 0) {
        float* partial = call_.partial(row, block.head + m % block.heads, split);
        partial[0] = max;
        partial[1] = sum;
        std::copy_n(acc, dim, partial + kPartialHeader);
      } else {
        merge(max, sum, acc, dim, block.total_max[m], block.total_sum[m],
              block.total + static_cast<size_t>(m) * dim);
      }
    }
  }

  void finish() const {
    for (int b = 0; b < block_count_; ++b) {
      const QueryBlock& block = blocks_[b];
      for (int m = 0; m < block.queries(); ++m) {
        write_out(call_, block.row + m / block.heads, block.head + m % block.heads,
                  block.total_max[m], block.total_sum[m],
                  block.total + static_cast<size_t>(m) * layout_.padded_dim);
      }
    }
  }

 public:
  // The total of the splits so far takes in the next one. The first is taken as it is.
  static void merge(float max, float sum, const float* acc, int dim, float& total_max,
                    float& total_sum, float* total) {
    if (total_max == -std::numeric_limits<float>::infinity() && total_sum == 0.0f) {
      total_max = max;
      total_sum = sum;
      std::copy_n(acc, dim, total);
      return;
    }
    const float new_max = std::max(total_max, max);
    const float a = exp_scalar(total_max - new_max), b = exp_scalar(max - new_max);
    total_max = new_max;
    total_sum = total_sum * a + sum * b;
    blend_vector(a, acc, b, dim, total);
  }

  static void write_out(const AttentionCall& call, int row, int head, float max, float sum,
                        float* total) {
    const TileLayout& layout = call.layout();
    if (!call.sinks.empty()) sum += exp_scalar(call.sinks[static_cast<size_t>(head)] - max);
    scale_vector(1.0f / sum, layout.padded_dim, total);
    std::copy_n(total, layout.head_dim,
                call.out.row(row) + static_cast<size_t>(head) * layout.head_dim);
  }

 private:
  // --- One tile

  // Query blocks [first, end), some of which read a tile from the same place.
  struct Run {
    int tile, first, end;
    int users = 0;                    // how many of them do
    const std::byte* data = nullptr;  // the place
  };

  // Tiles [first, last], for all rows that see no more of them than lies in their blocks.
  void walk_direct(int first, int last) {
    for (Run run = next_run(first, 0, last); run.users > 0;) {
      const Run next = next_run(run.tile, run.end, last);
      walk_tile(run, next.users > 0 ? next.data : run.data, -1);
      run = next;
    }
  }

  // The first run from this tile and block on; without users if there is none.
  Run next_run(int tile, int first, int last_tile) const {
    Run run{tile, first, first};
    for (; run.tile <= last_tile; ++run.tile, run.first = run.end = 0) {
      for (; run.end < block_count_; ++run.end) {
        const std::byte* data = direct_tile(blocks_[run.end], run.tile);
        if (data == nullptr) continue;
        if (run.users > 0 && data != run.data) return run;
        run.data = data;
        ++run.users;
      }
      if (run.users > 0) return run;
    }
    return run;
  }

  // Where the rows of a block read this tile, if any does so directly.
  const std::byte* direct_tile(const QueryBlock& block, int tile) const {
    for (int row = block.row; row < block.row + block.rows; ++row) {
      if (!sees_direct(row, tile)) continue;
      return call_.kv->tile(call_.parameters.layer,
                            call_.block_table(row)[static_cast<size_t>(tile)], item_.kv_head);
    }
    return nullptr;
  }

  bool sees_direct(int row, int tile) const {
    const auto [begin, end] = call_.visible_in_tile(row, tile);
    return begin < end && end <= call_.direct(row);
  }

  // A tile of one row whose positions [direct, end) lie anywhere.
  void walk_gathered(int row, int tile, int end) {
    const RowContext& context = call_.contexts[static_cast<size_t>(row)];
    const CpuKvStore& kv = *call_.kv;
    const int layer = call_.parameters.layer, start = tile * kBlockTokens;
    if (start < context.direct) {
      std::memcpy(gathered_,
                  kv.tile(layer, context.block_table[static_cast<size_t>(tile)], item_.kv_head),
                  layout_.bytes);
    }
    for (int j = std::max(start, context.direct); j < end; ++j) {
      const int slot = context.tail[static_cast<size_t>(j - context.direct)];
      copy_token(layout_, kv.tile(layer, slot / kBlockTokens, item_.kv_head), slot % kBlockTokens,
                 gathered_, j - start);
    }
    const int parts = (call_.group_heads() + kMaxQueries - 1) / kMaxQueries;
    walk_tile({tile, 0, block_count_, parts, gathered_}, gathered_, row);
  }

  // Takes a tile through the blocks of a run that see it: converted once if there are several.
  // next: the tile that will be read after it. only_row: the row the tile was gathered for, or -1
  // for all that read it directly.
  void walk_tile(const Run& run, const std::byte* next, int only_row) {
    const std::byte* data = run.data;
    const int dim = layout_.padded_dim;
    if (layout_.format == KvFormat::kF16) {
      const auto* keys = reinterpret_cast<const hwy::float16_t*>(data);
      const auto* values = reinterpret_cast<const hwy::float16_t*>(data + layout_.values);
      const ptrdiff_t ahead = (next - data) / static_cast<ptrdiff_t>(sizeof(uint16_t));
      walk_stored(F16Tile{keys, values, dim, ahead}, run, only_row);
    } else {
      convert_scales(data + layout_.key_scales, layout_.head_dim, key_scales_);
      convert_scales(data + layout_.value_scales, layout_.head_dim, value_scales_);
      const auto* keys = reinterpret_cast<const int8_t*>(data);
      const auto* values = reinterpret_cast<const int8_t*>(data + layout_.values);
      walk_stored(Q8Tile{keys, values, key_scales_, value_scales_, dim, next - data}, run,
                  only_row);
    }
  }

  template <class Tile>
  void walk_stored(const Tile& stored, const Run& run, int only_row) {
    if (run.users <= Tile::kFewUsers) return walk_blocks(stored, run, only_row);
    convert_tile(stored, layout_.head_dim, keys_, values_);
    walk_blocks(F32Tile{keys_, values_, layout_.padded_dim}, run, only_row);
  }

  template <class Tile>
  void walk_blocks(const Tile& data, const Run& run, int only_row) {
    for (int b = run.first; b < run.end; ++b) {
      QueryBlock& block = blocks_[b];
      Visible visible[8];
      bool used = false;
      for (int r = 0; r < block.rows; ++r) {
        const int row = block.row + r;
        if (only_row >= 0 ? row != only_row : !sees_direct(row, run.tile)) continue;
        const auto [begin, end] = call_.visible_in_tile(row, run.tile);
        const int start = run.tile * kBlockTokens;
        std::fill_n(visible + r * block.heads, block.heads, Visible{begin - start, end - start});
        used = true;
      }
      if (used) attend_tile(data, visible, run.tile, block);
    }
  }

  template <class Tile>
  void attend_tile(const Tile& data, const Visible* visible, int tile, QueryBlock& block) {
    const int queries = block.queries(), dim = layout_.padded_dim;
    score_queries(data, layout_.head_dim, queries, block.q, scores_);
    if (!call_.parameters.slopes.empty()) add_slopes(tile, block);
    if (softmax_tile(call_.parameters, visible, queries, block.softmax, scores_)) {
      for (int m = 0; m < queries; ++m) {
        scale_vector(block.softmax.correction[m], dim, block.acc + static_cast<size_t>(m) * dim);
      }
    }
    accumulate_visible(data, visible, queries, scores_, block.acc);
  }

  // ALiBi, before the scores are scaled: slope / scale for each position between key and query.
  void add_slopes(int tile, const QueryBlock& block) {
    const AttentionParameters& parameters = call_.parameters;
    for (int m = 0; m < block.queries(); ++m) {
      const float slope = parameters.slopes[static_cast<size_t>(block.head + m % block.heads)];
      const int distance = tile * kBlockTokens - call_.position(block.row + m / block.heads);
      add_line(slope / parameters.scale, static_cast<float>(distance), scores_ + m * kBlockTokens);
    }
  }

  const AttentionCall& call_;
  const AttentionItem& item_;
  const TileLayout& layout_;
  QueryBlock* blocks_ = nullptr;
  int block_count_ = 0;
  float* scores_ = nullptr;                                // [queries][32]
  float *keys_ = nullptr, *values_ = nullptr;              // a tile in f32
  float *key_scales_ = nullptr, *value_scales_ = nullptr;  // of a q8_0 tile
  std::byte* gathered_ = nullptr;                          // a tile as stored
};

void walk_item(const AttentionCall& call, const AttentionItem& item, Scratch& scratch) {
  ItemWalker(call, item, scratch).walk();
}

// Merges what the splits of one row and head left, in ascending order.
void merge_row(const AttentionCall& call, int row, int head, Scratch& scratch) {
  const int dim = call.layout().padded_dim;
  Arena arena = scratch.reserve(static_cast<size_t>(dim) * sizeof(float), 1);
  float* total = arena.take<float>(static_cast<size_t>(dim));
  float max = -std::numeric_limits<float>::infinity(), sum = 0.0f;
  const int last = call.last_position(row) / kSplit;
  for (int split = call.first_position(row) / kSplit; split <= last; ++split) {
    const float* partial = call.partial(row, head, split);
    ItemWalker::merge(partial[0], partial[1], partial + kPartialHeader, dim, max, sum, total);
  }
  ItemWalker::write_out(call, row, head, max, sum, total);
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::cpu {
HWY_EXPORT(walk_item);
HWY_EXPORT(merge_row);

namespace {

// Reused by the thread's next call.
Scratch& caller_scratch() {
  static thread_local Scratch partials;
  return partials;
}

Scratch& thread_scratch() {
  static thread_local Scratch scratch;
  return scratch;
}

}  // namespace

void attend(ThreadPool& pool, const KvStore& kv, const AttentionParameters& parameters,
            std::span<const float> sinks, HostTensor q, AttentionPlans& plans, HostTensor out) {
  AttentionCall call{.kv = static_cast<const CpuKvStore*>(&kv),
                     .parameters = parameters,
                     .sinks = sinks,
                     .q = q,
                     .out = out,
                     .contexts = plans.contexts(),
                     .max_splits = plans.max_splits()};
  const AttentionPlan& plan = plans.plan(call, pool.threads());
  const int rows_and_heads = call.rows() * parameters.heads;
  if (plan.split) {
    const size_t floats = static_cast<size_t>(rows_and_heads) * call.max_splits *
                          (kPartialHeader + call.layout().padded_dim);
    call.partials = caller_scratch().reserve(floats * sizeof(float), 1).take<float>(floats);
  }

  const auto walk = [&](int index, int) {
    HWY_DYNAMIC_DISPATCH(walk_item)
    (call, plan.items[static_cast<size_t>(index)], thread_scratch());
  };
  const int items = static_cast<int>(plan.items.size());
  if (plan.alone) {
    for (int i = 0; i < items; ++i) walk(i, 0);
  } else {
    pool.parallel_for(items, walk);
  }
  if (!plan.split) return;
  for (int i = 0; i < rows_and_heads; ++i) {
    HWY_DYNAMIC_DISPATCH(merge_row)
    (call, i / parameters.heads, i % parameters.heads, thread_scratch());
  }
}

}  // namespace tessera::cpu
#endif  // HWY_ONCE
