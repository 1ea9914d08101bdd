// The values of a tensor.
#pragma once

#include <vector>

#include "checkpoint/stored_tensor.h"

namespace tessera::train {

inline std::vector<float> decoded(const StoredTensor& tensor) {
  std::vector<float> values(tensor.elements());
  tensor.decode(0, tensor.rows(), values);
  return values;
}

}  // namespace tessera::train
