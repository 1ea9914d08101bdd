#include "backend/cpu/attention_plan.h"

#include <algorithm>
#include <numeric>

namespace tessera::cpu {
namespace {

// Rows x heads that share the conversion of a tile; their state stays in the second-level cache.
constexpr int kMaxGroupQueries = 128;
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

// Rows whose contexts begin alike become neighbours (a stable order: rows of a sequence stay as
// they are).
void order_rows(const AttentionCall& call, std::vector<int>& rows) {
  rows.resize(static_cast<size_t>(call.rows()));
  std::iota(rows.begin(), rows.end(), 0);
  std::ranges::stable_sort(rows, [&](int a, int b) {
    return !call.same_sequence(a, b) &&
           std::ranges::lexicographical_compare(call.block_table(a), call.block_table(b));
  });
}

bool share_a_block(const AttentionCall& call, int a, int b) {
  if (call.same_sequence(a, b)) return true;
  const auto first = call.block_table(a), second = call.block_table(b);
  return !first.empty() && !second.empty() && first.front() == second.front();
}

// The longest group of at most max_rows that begins at `rows`.
std::span<const int> first_group(const AttentionCall& call, std::span<const int> rows,
                                 size_t max_rows) {
  size_t count = 1;
  while (count < std::min(rows.size(), max_rows) && share_a_block(call, rows[0], rows[count])) {
    ++count;
  }
  return rows.first(count);
}

// Replaces each item by one for each split that any of its rows sees.
void split_items(const AttentionCall& call, AttentionPlan& plan) {
  const size_t whole = plan.items.size();
  for (size_t i = 0; i < whole; ++i) {
    AttentionItem item = plan.items[i];
    for (int split = 0; split < call.max_splits; ++split) {
      bool seen = false;
      for (const int row : item.rows) {
        const auto [begin, end] = call.visible_in_split(row, split);
        seen |= begin < end;
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
  const auto max_rows = static_cast<size_t>(rows_per_group(call, plan.alone ? 1 : threads));
  order_rows(call, plan.rows);
  for (std::span<const int> rest = plan.rows; !rest.empty();) {
    const std::span<const int> group = first_group(call, rest, max_rows);
    for (int head = 0; head < call.kv->shape.kv_heads; ++head) {
      plan.items.push_back({group, head, -1});
    }
    rest = rest.subspan(group.size());
  }
  // A prompt's later rows see more: begin with them.
  std::reverse(plan.items.begin(), plan.items.end());
  if (plan.alone || call.max_splits == 1) return;
  if (plan.items.size() >= static_cast<size_t>(threads) * kItemsPerThread) return;
  plan.split = true;
  split_items(call, plan);
}

}  // namespace tessera::cpu
