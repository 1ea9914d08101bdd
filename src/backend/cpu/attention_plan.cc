#include "backend/cpu/attention_plan.h"

namespace tessera::cpu {
namespace {

// Rows x heads that share the conversion of a tile; their state stays in the second-level cache.
constexpr int kMaxGroupQueries = 64;
// Below this many multiply-adds (some microseconds), waking other threads costs more than it gives.
constexpr int64_t kAloneWork = int64_t{1} << 18;
// Items for each thread that keep all of them busy to the end.
constexpr int kItemsPerThread = 4;

int64_t work_of(const AttentionCall& call) {
  int64_t keys = 0;
  for (int row = 0; row < call.rows(); ++row) {
    keys += call.position(row) + 1 - call.first_position(row);
  }
  return 2 * keys * call.parameters.heads * call.kv->shape.head_dim;
}

// Large groups read less, small ones keep more threads busy.
int rows_per_group(const AttentionCall& call, int threads) {
  const int unit = std::max(1, 8 / call.group_heads());
  int rows = std::max(unit, kMaxGroupQueries / call.group_heads() / unit * unit);
  while (rows > unit && call.rows() * call.kv->shape.kv_heads < threads * kItemsPerThread * rows) {
    rows = std::max(unit, rows / 2 / unit * unit);
  }
  return rows;
}

// One past the last row that belongs to the group that begins at `first`.
int group_end(const AttentionCall& call, int first, int max_rows) {
  const auto* table = call.contexts[static_cast<size_t>(first)].block_table.data();
  int end = first + 1;
  while (end < call.rows() && end < first + max_rows &&
         call.contexts[static_cast<size_t>(end)].block_table.data() == table) {
    ++end;
  }
  return end;
}

// Replaces each item by one for each split that any of its rows sees.
void split_items(const AttentionCall& call, AttentionPlan& plan) {
  const size_t whole = plan.items.size();
  for (size_t i = 0; i < whole; ++i) {
    AttentionItem item = plan.items[i];
    for (int split = 0; split < call.max_splits; ++split) {
      bool seen = false;
      for (int row = item.first_row; row < item.first_row + item.rows && !seen; ++row) {
        const auto [begin, end] = call.visible_in_split(row, split);
        seen = begin < end;
      }
      item.split = split;
      if (seen) plan.items.push_back(item);
    }
  }
  plan.items.erase(plan.items.begin(), plan.items.begin() + static_cast<ptrdiff_t>(whole));
}

}  // namespace

void plan_attention(const AttentionCall& call, int threads, AttentionPlan& plan) {
  plan.items.clear();
  plan.alone = threads == 1 || work_of(call) < kAloneWork;
  plan.split = false;
  const int max_rows = rows_per_group(call, plan.alone ? 1 : threads);
  for (int first = 0, end = 0; first < call.rows(); first = end) {
    end = group_end(call, first, max_rows);
    for (int head = 0; head < call.kv->shape.kv_heads; ++head) {
      plan.items.push_back({first, end - first, head, -1});
    }
  }
  // A prompt's later rows see more: begin with them.
  std::reverse(plan.items.begin(), plan.items.end());
  if (plan.alone || call.max_splits == 1) return;
  if (plan.items.size() >= static_cast<size_t>(threads) * kItemsPerThread) return;
  plan.split = true;
  split_items(call, plan);
}

}  // namespace tessera::cpu
