#include "model/batch.h"

#include <algorithm>

#include "base/assert.h"

namespace tessera {

void Batch::add_tree(std::span<const Token> nodes, std::span<const int32_t> parents, int prefix,
                     std::span<const int32_t> block_table, const AdapterMix* mix, int32_t from) {
  TESSERA_ASSERT(parents.size() == nodes.size());
  TESSERA_ASSERT(blocks_for(prefix + static_cast<int>(nodes.size())) <=
                 static_cast<int>(block_table.size()));
  const auto& kept_parents = tails_.emplace_back(parents.begin(), parents.end());
  runs.push_back({.first_row = rows(),
                  .rows = static_cast<int32_t>(nodes.size()),
                  .from = from,
                  .parents = kept_parents,
                  .saves = {}});
  std::vector<int32_t> path;  // node indices from the root to the current node
  for (int node = 0; node < static_cast<int>(nodes.size()); ++node) {
    TESSERA_ASSERT(parents[node] < node);  // else the walk to the root has no end
    path.clear();
    for (int ancestor = node; ancestor >= 0; ancestor = parents[ancestor]) path.push_back(ancestor);
    std::ranges::reverse(path);

    // Node i lies where position prefix + i belongs: the ancestors that are in place are read
    // through the block table, the others through a list of slots.
    const int depth = static_cast<int>(path.size()) - 1;
    int in_place = 0;
    while (in_place <= depth && path[in_place] == in_place) ++in_place;

    RowContext context{.block_table = block_table,
                       .position = prefix + depth,
                       .direct = prefix + in_place,
                       .tail = {}};
    if (in_place <= depth) {
      auto& tail = tails_.emplace_back();
      for (int i = in_place; i <= depth; ++i)
        tail.push_back(slot_of(block_table, prefix + path[i]));
      context.tail = tail;
    }
    tokens.push_back(nodes[node]);
    positions.push_back(prefix + depth);
    slots.push_back(slot_of(block_table, prefix + node));
    contexts.push_back(context);
    adapters.push_back(mix);
  }
}

void Batch::add_chain(std::span<const Token> chain, int prefix,
                      std::span<const int32_t> block_table, const AdapterMix* mix,
                      const RowStates& states) {
  TESSERA_ASSERT(blocks_for(prefix + static_cast<int>(chain.size())) <=
                 static_cast<int>(block_table.size()));
  if (chain.empty()) return;
  runs.push_back({.first_row = rows(),
                  .rows = static_cast<int32_t>(chain.size()),
                  .from = states.from,
                  .parents = {},
                  .saves = saves_.emplace_back(states.saves)});
  for (int i = 0; i < static_cast<int>(chain.size()); ++i) {
    const int position = prefix + i;
    tokens.push_back(chain[i]);
    positions.push_back(position);
    slots.push_back(slot_of(block_table, position));
    contexts.push_back(
        {.block_table = block_table, .position = position, .direct = position + 1, .tail = {}});
    adapters.push_back(mix);
  }
}

void Batch::add_text(std::span<const Token> text, std::span<const int32_t> block_table,
                     const AdapterMix* mix) {
  const size_t first = contexts.size();
  add_chain(text, 0, block_table, mix);
  const auto count = static_cast<int32_t>(text.size());
  for (RowContext& row : std::span(contexts).subspan(first)) {
    row.direct = count;
    row.ahead = count - 1 - row.position;
  }
}

}  // namespace tessera
