#include "files/huggingface/layouts/layout_writer.h"

#include <cstring>

#include "base/error.h"
#include "base/half.h"
#include "files/safetensors/dtypes.h"
#include "formats/format.h"

namespace tessera::huggingface {

EncodedMatrix::EncodedMatrix(const Format& format, uint64_t row_count, uint64_t column_count,
                             std::span<const std::byte> bytes)
    : rows(row_count), columns(column_count), groups(columns / format.block_elements) {
  const GroupedKind* kind = kind_of(format);
  if (kind == nullptr && &format != &kMXFP4) fail("{} has no layout to be written in", format.name);
  const QuantizedBlock& block = *format.quantized;
  codes.reserve(rows * columns);
  scales.reserve(rows * groups);
  BlockParts parts;
  for (const std::byte* at = bytes.data(); scales.size() < rows * groups;
       at += format.block_bytes) {
    block.split(reinterpret_cast<const uint8_t*>(at), parts);
    codes.insert(codes.end(), parts.codes, parts.codes + format.block_elements);
    if (block.scaling == BlockScaling::kE8M0) {
      scales.push_back(parts.d);
    } else {
      scales.push_back(group_scale(block, parts, 0).scale);
    }
    if (block.has_min) mins.push_back(group_scale(block, parts, 0).min);
    if (block.has_zero) zeros.push_back(parts.zero);
    if (kind != nullptr && kind->note_bytes() > 0) notes.push_back(scale_note(*kind, at));
  }
}

std::vector<float> EncodedMatrix::row_scales() const {
  std::vector<float> of_rows;
  for (uint64_t row = 0; row < rows; ++row) of_rows.push_back(scales[row * groups]);
  return of_rows;
}

uint64_t LayoutPart::bytes() const {
  uint64_t size = safetensors::format_of_dtype(dtype)->block_bytes;
  for (const uint64_t axis : shape) size *= axis;
  return size;
}

std::vector<std::byte> f16_bytes(std::span<const float> numbers) {
  std::vector<std::byte> bytes(numbers.size() * 2);
  kF16.encode(numbers, bytes.data(), {});
  return bytes;
}

std::vector<std::byte> f32_bytes(std::span<const float> numbers) {
  std::vector<std::byte> bytes(numbers.size() * 4);
  kF32.encode(numbers, bytes.data(), {});
  return bytes;
}

void expect_multiple(std::string_view what, uint64_t count, uint64_t of) {
  if (count % of != 0) fail("{} {}, expected a multiple of {}", count, what, of);
}

}  // namespace tessera::huggingface
