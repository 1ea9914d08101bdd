#include "files/huggingface/layouts/scales.h"

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/layouts/checks.h"

namespace tessera::huggingface {

void set_row_scales(QuantizedMatrix& matrix, const StoredTensor& scales) {
  expect_floats(scales);
  uint64_t rows = 1;
  for (size_t axis = 1; axis < matrix.shape.size(); ++axis) rows *= matrix.shape[axis];
  const uint64_t count = scales.elements();
  // Not a row of scales for columns: [out], or [out, 1].
  const bool is_column = scales.shape.size() == 1 || scales.shape[0] == 1;
  if (count != 1 && (count != rows || !is_column)) {
    fail("tensor '{}' has the shape [{}], expected one scale or [{}, 1]", printable(scales.name),
         fmt::join(torch_shape(scales), ", "), rows);
  }
  matrix.group = 0;
  matrix.values = scales.format;
  matrix.scales = float_grid({.format = scales.format,
                              .bytes = scales.bytes,
                              .columns = matrix.shape[0],
                              .row_step = count == 1 ? 0u : 1u});
  matrix.stored.push_back(scales.bytes);
}

void set_block_scales(QuantizedMatrix& matrix, const StoredTensor& scales, uint64_t block_rows,
                      uint64_t block_columns) {
  if (!is_float_dtype(*scales.format)) expect_floats(scales);
  const uint64_t across = ceil_div(matrix.shape[0], block_columns);
  const uint64_t down = ceil_div(matrix.shape[1], block_rows);
  // Some writers pad the grid.
  expect_axes(scales, 2);
  if (scales.shape[0] < across || scales.shape[1] < down) {
    fail("tensor '{}' has the shape [{}], expected [{}, {}]", printable(scales.name),
         fmt::join(torch_shape(scales), ", "), down, across);
  }
  matrix.group = block_columns;
  matrix.values = scales.format->supported() ? scales.format : &kF32;
  matrix.scales = float_grid({.format = scales.format,
                              .bytes = scales.bytes,
                              .rows = block_rows,
                              .columns = block_columns,
                              .row_step = scales.shape[0],
                              .column_step = 1});
  matrix.stored.push_back(scales.bytes);
}

void set_group_scales(QuantizedMatrix& matrix, const StoredTensor& scales, uint64_t group) {
  if (scales.elements() == 1) return set_row_scales(matrix, scales);
  const uint64_t columns = matrix.shape[0], rows = matrix.shape[1];
  if (!is_float_dtype(*scales.format)) expect_floats(scales);
  if (scales.shape.size() > 2 || scales.elements() % rows != 0 ||
      (scales.shape.size() == 2 && scales.shape[1] != rows)) {
    fail("tensor '{}' has the shape [{}], expected [{}, groups]", printable(scales.name),
         fmt::join(torch_shape(scales), ", "), rows);
  }
  const uint64_t groups = scales.elements() / rows;
  // Where the configuration leaves it open, groups are alike.
  if (groups == 1) {
    group = columns;
  } else if (group == 0 || ceil_div(columns, group) != groups) {
    group = ceil_div(columns, groups);
  }
  if (ceil_div(columns, group) != groups) {
    fail("tensor '{}' has {} groups, which do not divide {} columns", printable(scales.name),
         groups, columns);
  }
  matrix.group = group;
  matrix.values = scales.format->supported() ? scales.format : &kF32;
  matrix.scales = float_grid({.format = scales.format,
                              .bytes = scales.bytes,
                              .columns = group,
                              .row_step = groups,
                              .column_step = 1});
  matrix.stored.push_back(scales.bytes);
}

}  // namespace tessera::huggingface
