#include "train/operations/rope.h"

#include <cmath>
#include <vector>

#include "train/row_ranges.h"

namespace tessera::train {

void rotate(ThreadPool& pool, const Rope& rope, int head_dim, std::span<const int32_t> positions,
            Turn turn, HostTensor x) {
  const size_t pairs = static_cast<size_t>(rope.dimensions / 2);
  for_stretches(pool, x.rows, [&](int first, int end, int) {
    std::vector<float> cosines(pairs), sines(pairs);
    for (int r = first; r < end; ++r) {
      for (size_t i = 0; i < pairs; ++i) {
        const double angle = static_cast<double>(rope.frequency[i]) *
                             static_cast<double>(positions[static_cast<size_t>(r)]);
        const double sine = std::sin(angle), magnitude = static_cast<double>(rope.magnitude);
        cosines[i] = static_cast<float>(std::cos(angle) * magnitude);
        sines[i] = static_cast<float>((turn == Turn::kForward ? sine : -sine) * magnitude);
      }
      for (int c = 0; c + head_dim <= x.columns; c += head_dim) {
        float* head = x.row(r) + c;
        for (size_t i = 0; i < pairs; ++i) {
          float& a = head[rope.interleaved ? 2 * i : i];
          float& b = head[rope.interleaved ? 2 * i + 1 : i + pairs];
          const float was = a;
          a = was * cosines[i] - b * sines[i];
          b = b * cosines[i] + was * sines[i];
        }
      }
    }
  });
}

}  // namespace tessera::train
