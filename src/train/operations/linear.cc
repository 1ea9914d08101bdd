#include "train/operations/linear.h"

#include "train/row_ranges.h"

namespace tessera::train {
void linear(ThreadPool& pool, HostRows x, const float* weights, float factor, HostTensor y,
            Into into) {
  multiply(&pool, by_rows(x.data, wide(x.stride)), transposed(weights, wide(x.columns)),
           wide(x.rows), wide(x.columns), wide(y.columns), factor, y.data, wide(y.stride), into);
}

void add_bias(ThreadPool& pool, std::span<const float> bias, HostTensor y) {
  for_stretches(pool, y.rows, [&](int first, int end, int) {
    for (int r = first; r < end; ++r)
      for (size_t i = 0; i < bias.size(); ++i) y.row(r)[i] += bias[i];
  });
}

void linear_to_inputs(ThreadPool& pool, HostRows dy, const float* weights, float factor,
                      HostTensor dx) {
  multiply(&pool, by_rows(dy.data, wide(dy.stride)), by_rows(weights, wide(dx.columns)),
           wide(dy.rows), wide(dy.columns), wide(dx.columns), factor, dx.data, wide(dx.stride),
           Into::kAdd);
}

void linear_to_weights(ThreadPool& pool, HostRows dy, HostRows x, float factor, float* dweights) {
  multiply(&pool, transposed(dy.data, wide(dy.stride)), by_rows(x.data, wide(x.stride)),
           wide(dy.columns), wide(dy.rows), wide(x.columns), factor, dweights, wide(x.columns),
           Into::kAdd);
}

void add_rows(ThreadPool& pool, HostRows dy, std::span<float> dbias) {
  for_stretches(pool, dy.columns, [&](int first, int end, int) {
    for (int r = 0; r < dy.rows; ++r)
      for (int c = first; c < end; ++c) dbias[wide(c)] += dy.row(r)[wide(c)];
  });
}

}  // namespace tessera::train
