#include "checkpoint/stored_tensor.h"

namespace tessera {

uint64_t StoredTensor::rows() const {
  uint64_t rows = 1;
  for (size_t axis = 1; axis < shape.size(); ++axis) rows *= shape[axis];
  return rows;
}

uint64_t StoredTensor::elements() const {
  return columns() * rows();
}

std::vector<std::span<const std::byte>> StoredTensor::stored() const {
  if (source != nullptr) return source->stored();
  if (bytes.empty()) return {};
  return {bytes};
}

uint64_t StoredTensor::stored_bytes() const {
  uint64_t sum = 0;
  for (const auto part : stored()) sum += part.size();
  return sum;
}

std::span<const std::byte> StoredTensor::read(uint64_t first, uint64_t count,
                                              std::vector<std::byte>& buffer) const {
  const uint64_t row_bytes = format->row_bytes(columns());
  if (source == nullptr) return bytes.subspan(first * row_bytes, count * row_bytes);
  buffer.resize(count * row_bytes);
  source->read(first, count, buffer.data());
  return buffer;
}

void StoredTensor::decode(uint64_t first, uint64_t count, std::span<float> values) const {
  std::vector<std::byte> buffer;
  format->decode(read(first, count, buffer).data(), values);
  if (order != nullptr) restore_order(*order, values);
}

}  // namespace tessera
