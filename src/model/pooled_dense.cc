#include "model/pooled_dense.h"

namespace tessera {

void PooledDense::for_each_tensor(TensorVisitor& visit, const Config& config) {
  constexpr std::array<TensorRole, kMostDense> kRoles{TensorRole::kDense2, TensorRole::kDense3};
  constexpr std::array<const char*, kMostDense> kLabels{"dense 2", "dense 3"};
  int columns = config.embedding;
  for (size_t i = 0; i < config.dense_widths.size(); ++i) {
    const int rows = config.dense_widths[i];
    visit.matrix(kLabels[i], {{kRoles[i], rows}}, columns, stages_[i].weights);
    columns = rows;
  }
}

void PooledDense::allocate(Backend& backend) {
  for (Stage& stage : stages_) {
    if (stage.weights == nullptr) continue;
    stage.in = backend.allocate(1, stage.weights->columns);
    stage.out = backend.allocate(1, stage.weights->rows);
  }
}

void PooledDense::apply(Backend& backend, std::vector<float>& pooled) const {
  for (const Stage& stage : stages_) {
    if (stage.weights == nullptr) continue;
    backend.upload(pooled, stage.in);
    backend.linear(*stage.weights, stage.in, nullptr, stage.out);
    const auto row = backend.download(stage.out).row(0);
    pooled.assign(row.begin(), row.end());
  }
}

}  // namespace tessera
