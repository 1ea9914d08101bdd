#include "train/trunk.h"

#include <algorithm>

#include "model/flat_context.h"
#include "train/row_ranges.h"

namespace tessera::train {

std::vector<float> hidden_states(Model& trunk, std::span<const Example> examples) {
  std::vector<float> all, some;
  for (const Example& example : examples) {
    FlatContext context(trunk, example.rows(), KvFormat::kF16);
    for (int first = 0; first < example.rows();) {
      const int rows = std::min(trunk.limits().rows, example.rows() - first);
      Batch batch;
      batch.add_chain(std::span(example.tokens).subspan(wide(first), wide(rows)), first,
                      context.block_table, nullptr, context.go_on(first, rows));
      trunk.forward(batch, *context.kv);
      trunk.backend().download(trunk.hidden_states(0, rows)).copy(some);
      all.insert(all.end(), some.begin(), some.end());
      first += rows;
    }
  }
  return all;
}

}  // namespace tessera::train
