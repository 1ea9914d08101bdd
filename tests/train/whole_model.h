// All of a checkpoint's weights as what is learned.
#pragma once

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "train/learned.h"

namespace tessera::train {

inline std::vector<float> decoded(const StoredTensor& tensor) {
  std::vector<float> values(tensor.elements());
  tensor.decode(0, tensor.rows(), values);
  return values;
}

// Everything, but for what the configuration says.
inline Learned whole_model(const Checkpoint& model) {
  constexpr std::array kConfiguration = {TensorRole::kRopeFactors, TensorRole::kRopeFactorsLong,
                                         TensorRole::kRopeFactorsShort};
  Learned learned;
  for (const StoredTensor& tensor : model.tensors()) {
    if (std::ranges::find(kConfiguration, tensor.place.role) != kConfiguration.end()) continue;
    Parameter parameter(tensor.name, static_cast<int>(tensor.rows()),
                        static_cast<int>(tensor.columns()));
    parameter.values = decoded(tensor);
    learned.whole.emplace(tensor.place, std::move(parameter));
  }
  return learned;
}

}  // namespace tessera::train
