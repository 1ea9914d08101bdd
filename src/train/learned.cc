#include "train/learned.h"

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

std::vector<std::byte> encoded(const Parameter& parameter, const Format& format, ThreadPool& pool) {
  const size_t columns = wide(parameter.columns), row_bytes = format.row_bytes(columns);
  std::vector<std::byte> bytes(wide(parameter.rows) * row_bytes);
  for_stretches(pool, parameter.rows, [&](int first, int end, int) {
    for (size_t row = wide(first); row < wide(end); ++row) {
      format.encode(std::span(parameter.values).subspan(row * columns, columns),
                    bytes.data() + row * row_bytes, {});
    }
  });
  return bytes;
}

}  // namespace tessera::train
