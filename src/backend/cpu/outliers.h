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
#include <span>
#include <vector>

#include "backend/cpu/layout.h"
#include "base/host_tensor.h"

namespace tessera::cpu {

struct Outlier {
  int32_t column, row;
  float value;

  // By columns, as panels decode them: rows have most of their outliers in the same ones.
  bool operator<(const Outlier& other) const {
    return column != other.column ? column < other.column : row < other.row;
  }
};

// Copies row number `row` without its elements of magnitude `threshold` and more, which become
// zeros there and are added to the outliers. Infinities and NaN stay.
void take_outliers(const float* from, int columns, float threshold, int row, float* to,
                   std::vector<Outlier>& outliers);

// sums[row - first_row] += what each of the outliers gives, which are sorted: so those of a row
// come by ascending columns, with one rounding for each product and one for each sum.
void add_outliers(const Layout& layout, const std::byte* panel, int columns,
                  std::span<const Outlier> outliers, int first_row, float (*sums)[kPanelRows]);

}  // namespace tessera::cpu
