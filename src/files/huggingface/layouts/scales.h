// Scales of a matrix out of a tensor, in the shapes that several layouts have. Each also sets the
// matrix's group. Error for a tensor of another shape or dtype.
#pragma once

#include "files/huggingface/layouts/quantized_matrix.h"

namespace tessera::huggingface {

// One scale, or one for each row.
void set_row_scales(QuantizedMatrix& matrix, const StoredTensor& scales);
// One for each block of so many rows and columns, the last of which may be cut short.
void set_block_scales(QuantizedMatrix& matrix, const StoredTensor& scales, uint64_t block_rows,
                      uint64_t block_columns);

// One, or for each row as many as it has groups: [out, groups]. `group`: columns; 0, or one that
// does not fit: they are all alike.
void set_group_scales(QuantizedMatrix& matrix, const StoredTensor& scales, uint64_t group);

}  // namespace tessera::huggingface
