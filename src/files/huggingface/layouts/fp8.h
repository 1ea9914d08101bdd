// Matrices of FP8, which several layouts have.
#pragma once

#include "files/huggingface/layouts/quantized_matrix.h"
#include "files/huggingface/layouts/raw_tensors.h"

namespace tessera::huggingface {

bool is_fp8(const StoredTensor& tensor);  // E4M3 or E5M2
// The codes of such a tensor; scales are yet to come (scales.h). Error for another dtype.
QuantizedMatrix fp8_matrix(const StoredTensor& weight);

// Scales that are for rounding activations, or keys and values.
void drop_activation_scales(RawTensors& tensors);

}  // namespace tessera::huggingface
