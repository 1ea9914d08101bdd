#include "train/operations/gate.h"

#include <vector>

#include "train/curves.h"
#include "train/row_ranges.h"

namespace tessera::train {

void apply_gate(ThreadPool& pool, Activation activation, HostRows gate, HostRows x, HostTensor y) {
  for_stretches(pool, x.rows, [&](int first, int end, int) {
    std::vector<float> values(static_cast<size_t>(x.columns));
    for (int r = first; r < end; ++r) {
      activate(activation, gate.row(r), values.data(), nullptr);
      for (size_t i = 0; i < values.size(); ++i) y.row(r)[i] = values[i] * x.row(r)[i];
    }
  });
}

void apply_gate_back(ThreadPool& pool, Activation activation, HostRows gate, HostRows x,
                     HostRows dy, HostTensor dgate, HostTensor dx) {
  for_stretches(pool, x.rows, [&](int first, int end, int) {
    std::vector<float> values(static_cast<size_t>(x.columns)), slopes(values.size());
    for (int r = first; r < end; ++r) {
      activate(activation, gate.row(r), values.data(), slopes.data());
      const float *d = dy.row(r).data(), *factor = x.row(r).data();
      float *to_gate = dgate.row(r), *to_x = dx.row(r);
      for (size_t i = 0; i < values.size(); ++i) {
        to_gate[i] += d[i] * factor[i] * slopes[i];
        to_x[i] += d[i] * values[i];
      }
    }
  });
}

void apply_activation(ThreadPool& pool, Activation activation, HostRows x, HostTensor y) {
  for_stretches(pool, x.rows, [&](int first, int end, int) {
    for (int r = first; r < end; ++r) activate(activation, x.row(r), y.row(r), nullptr);
  });
}

void apply_activation_back(ThreadPool& pool, Activation activation, HostRows x, HostRows dy,
                           HostTensor dx) {
  for_stretches(pool, x.rows, [&](int first, int end, int) {
    std::vector<float> slopes(static_cast<size_t>(x.columns));
    for (int r = first; r < end; ++r) {
      activate(activation, x.row(r), nullptr, slopes.data());
      for (size_t i = 0; i < slopes.size(); ++i) dx.row(r)[i] += dy.row(r)[i] * slopes[i];
    }
  });
}

}  // namespace tessera::train
