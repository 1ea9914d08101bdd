// Numbers of config.json that weights are to be multiplied with (muP, Falcon-H1 2025). GGUF's
// definition of the family has them in the weights.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "checkpoint/stored_tensor.h"
#include "files/huggingface/config_reader.h"
#include "files/huggingface/recurrent_layers.h"

namespace tessera::huggingface {

struct RowScale {
  uint64_t rows = 0;  // so many rows from the one before on; 0: all that are left
  float factor = 1;
};
using RowScales = std::map<TensorRole, std::vector<RowScale>>;

// Falcon-H1's. Error for lists of other lengths.
RowScales read_row_scales(const ConfigReader& config, const RecurrentShape& shape);

// The matrix in F32 with its rows multiplied; others as they are. Error unless the rows add up.
StoredTensor scale_rows(const StoredTensor& tensor, TensorRole role, const RowScales& scales);

}  // namespace tessera::huggingface
