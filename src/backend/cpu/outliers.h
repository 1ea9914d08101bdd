// Activations that are too large to share a scale with others: LLM.int8() (Dettmers et al. 2022,
// arXiv 2208.07339).
//
// A few columns of a large model's activations are many times larger than the rest; quantized with
// them, their neighbours become zeros. So an element of at least a threshold is taken out of its
// row before that is quantized, and meets its column of weights, decoded, in f32. The paper takes
// out a column if any row of the batch is that large there; here each row decides for itself, so
// that its result does not depend on its company.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/cpu/layout.h"
#include "base/host_tensor.h"

namespace tessera::cpu {

struct Outlier {
  int32_t column;
  float value;
};
using RowOutliers = std::vector<Outlier>;  // columns ascending

// Copies a row without its elements of magnitude `threshold` and more, which become zeros there and
// the row's outliers. NaN stays.
void take_outliers(const float* from, int columns, float threshold, float* to,
                   RowOutliers& outliers);

// sums[i] += what the outliers of row first_row + i give: ascending, one rounding for each product
// and one for each sum.
void add_outliers(const Layout& layout, const std::byte* panel, int columns,
                  const std::vector<RowOutliers>& rows, int first_row, int end_row,
                  float (*sums)[kPanelRows]);

}  // namespace tessera::cpu
