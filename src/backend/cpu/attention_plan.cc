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
    keys += call.last_position(row) + 1 - call.first_position(row);
  }
  return 2 * keys * call.parameters.heads * call.layer().head_dim;
}

// Large groups read and convert less, small ones keep more threads busy; and so do splits.
int rows_per_group(const AttentionCall& call, int threads) {
  const int unit = std::max(1, 8 / call.group_heads());
  int rows = std::max(unit, kMaxGroupQueries / call.group_heads() / unit * unit);
  const int window = std::max(call.parameters.window, call.parameters.chunk);
  const int splits = window > 0 ? std::min(call.max_splits, window / kSplit + 2) : call.max_splits;
  const int64_t pieces = int64_t{call.rows()} * call.layer().heads * splits;
  while (rows > unit && pieces < threads * kItemsPerThread * rows) {
    rows = std::max(unit, rows / 2 / unit * unit);
  }
  return rows;
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

// `rows`: of the call, in the order that AttentionPlans keeps them in.
AttentionPlan make_plan(const AttentionCall& call, std::span<const int> rows, int threads) {
  AttentionPlan plan;
  plan.alone = threads == 1 || work_of(call) < kAloneWork;
  const auto max_rows = static_cast<size_t>(rows_per_group(call, plan.alone ? 1 : threads));
  while (!rows.empty()) {
    const std::span<const int> group = first_group(call, rows, max_rows);
    for (int head = 0; head < call.layer().heads; ++head) plan.items.push_back({group, head, -1});
    rows = rows.subspan(group.size());
  }
  // A prompt's later rows see more: begin with them.
  std::reverse(plan.items.begin(), plan.items.end());
  if (plan.alone || call.max_splits == 1) return plan;
  if (plan.items.size() >= static_cast<size_t>(threads) * kItemsPerThread) return plan;
  plan.split = true;
  split_items(call, plan);
  return plan;
}

}  // namespace

AttentionPlans::AttentionPlans(std::span<const RowContext> contexts)
    : contexts_(contexts), ordered_(contexts.size()) {
  for (const RowContext& context : contexts) {
    max_splits_ = std::max(max_splits_, (context.position + context.ahead) / kSplit + 1);
  }
  // Rows whose contexts begin alike become neighbours (a stable order: rows of a sequence stay as
  // they are).
  std::iota(ordered_.begin(), ordered_.end(), 0);
  std::ranges::stable_sort(ordered_, [&](int a, int b) {
    const auto first = contexts[static_cast<size_t>(a)].block_table;
    const auto second = contexts[static_cast<size_t>(b)].block_table;
    return first.data() != second.data() && std::ranges::lexicographical_compare(first, second);
  });
}

const AttentionPlan& AttentionPlans::plan(const AttentionCall& call, int threads) {
  const Kind kind{.heads = call.parameters.heads,
                  .kv_heads = call.layer().heads,
                  .head_dim = call.layer().head_dim,
                  .window = call.parameters.window,
                  .chunk = call.parameters.chunk};
  const auto known = std::ranges::find(planned_, kind, &Planned::kind);
  if (known != planned_.end()) return known->plan;
  planned_.push_back({kind, make_plan(call, ordered_, threads)});
  return planned_.back().plan;
}

}  // namespace tessera::cpu
