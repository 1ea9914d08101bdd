#include "train/operations/embedding.h"

namespace tessera::train {

void add_to_rows(HostRows dx, std::span<const int32_t> rows, float factor, float* dtable) {
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::span<const float> from = dx.row(static_cast<int>(i));
    float* to = dtable + static_cast<size_t>(rows[i]) * from.size();
    for (size_t c = 0; c < from.size(); ++c) to[c] += factor * from[c];
  }
}

}  // namespace tessera::train
