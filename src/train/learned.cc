#include "train/learned.h"

#include "formats/grouped.h"
#include "formats/shared_scales.h"
#include "train/row_ranges.h"

namespace tessera::train {

StoredTensor stored_tensor(const Parameter& parameter, TensorPlace place) {
  StoredTensor tensor;
  tensor.name = parameter.name;
  tensor.place = place;
  tensor.format = &kF32;
  tensor.shape = {static_cast<uint64_t>(parameter.columns), static_cast<uint64_t>(parameter.rows)};
  tensor.bytes = std::as_bytes(std::span(parameter.values));
  return tensor;
}

namespace {

// What blocks of all rows share, where there is such: see formats/shared_scales.h.
void settle_scales(std::vector<std::byte>& bytes, const Parameter& parameter, const Format& format,
                   ThreadPool& pool) {
  const size_t columns = wide(parameter.columns), row_bytes = format.row_bytes(columns);
  SharedScales scales(*kind_of(format), wide(parameter.rows), columns);
  for_stretches(pool, parameter.rows, [&](int first, int end, int) {
    for (size_t row = wide(first); row < wide(end); ++row)
      scales.observe(row, std::span(parameter.values).subspan(row * columns, columns));
  });
  scales.settle();
  for (size_t row = 0; row < wide(parameter.rows); ++row)
    scales.write(row, bytes.data() + row * row_bytes);
}

void encode_to(std::vector<std::byte>& bytes, const Parameter& parameter, const Format& format,
               ThreadPool& pool) {
  const size_t columns = wide(parameter.columns), row_bytes = format.row_bytes(columns);
  bytes.resize(wide(parameter.rows) * row_bytes);
  if (shares_scales(format)) settle_scales(bytes, parameter, format, pool);
  for_stretches(pool, parameter.rows, [&](int first, int end, int) {
    for (size_t row = wide(first); row < wide(end); ++row) {
      format.encode(std::span(parameter.values).subspan(row * columns, columns),
                    bytes.data() + row * row_bytes, {});
    }
  });
}

}  // namespace

std::vector<std::byte> encoded(const Parameter& parameter, const Format& format, ThreadPool& pool) {
  std::vector<std::byte> bytes;
  encode_to(bytes, parameter, format, pool);
  return bytes;
}

void round_to_grids(std::span<Parameter* const> parameters, ThreadPool& pool) {
  for (Parameter* parameter : parameters) {
    if (parameter->grid == nullptr || !parameter->has_changed) continue;
    encode_to(parameter->rounded, *parameter, *parameter->grid, pool);
    parameter->has_changed = false;
  }
}

void keep_zeros(std::span<Parameter* const> parameters, ThreadPool& pool) {
  for (Parameter* parameter : parameters) {
    if (!parameter->keeps_zeros) continue;
    const size_t columns = wide(parameter->columns);
    for_stretches(pool, parameter->rows, [&](int first, int end, int) {
      for (size_t i = wide(first) * columns; i < wide(end) * columns; ++i)
        if (parameter->values[i] == 0) parameter->gradient[i] = 0;
    });
  }
}

}  // namespace tessera::train
