#include "formats/row_source.h"

#include <algorithm>

namespace tessera {

void restore_order(std::span<const uint32_t> order, std::span<float> rows) {
  std::vector<float> restored(order.size());
  for (size_t first = 0; first < rows.size(); first += order.size()) {
    const auto row = rows.subspan(first, order.size());
    for (size_t c = 0; c < order.size(); ++c) restored[order[c]] = row[c];
    std::ranges::copy(restored, row.begin());
  }
}

}  // namespace tessera
