// Matrices of FP8, which several layouts have.
#pragma once

#include "files/huggingface/layouts/quantized_matrix.h"
#include "files/huggingface/layouts/raw_tensors.h"

namespace tessera::huggingface {

bool is_fp8(const StoredTensor& tensor);  // E4M3 or E5M2
// The codes of such a tensor; scales are yet to come. Error for another dtype.
QuantizedMatrix fp8_matrix(const StoredTensor& weight);

// One scale, or one for each row. Error for another shape or dtype.
void set_row_scales(QuantizedMatrix& matrix, const StoredTensor& scales);
// One for each block of so many rows and columns, the last of which may be cut short.
void set_block_scales(QuantizedMatrix& matrix, const StoredTensor& scales, uint64_t block_rows,
                      uint64_t block_columns);

// Scales that are for rounding activations, or keys and values.
void drop_activation_scales(RawTensors& tensors);

}  // namespace tessera::huggingface
