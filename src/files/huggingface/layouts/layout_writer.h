// A layout as it is written: a matrix that was encoded, in the tensors that a quantization tool
// keeps it in. Each is the reverse of what the layout's file beside it reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/shared_scales.h"

namespace tessera::huggingface {

// Blocks of a grouped format, or of MXFP4, taken apart.
struct EncodedMatrix {
  // `bytes`: all its rows. Error for a format of other blocks.
  EncodedMatrix(const Format& format, uint64_t rows, uint64_t columns,
                std::span<const std::byte> bytes);

  uint64_t rows, columns, groups;  // groups: of a row
  std::vector<uint8_t> codes;      // [rows, columns]
  std::vector<float> scales;       // [rows, groups]; MXFP4: the exponents
  std::vector<uint8_t> zeros;      // [rows, groups]; none: they are the format's
  std::vector<float> mins;         // [rows, groups], where groups have minimums
  std::vector<ScaleNote> notes;    // [rows, groups], of scales that are made of others

  // Where a row has one scale: [rows].
  std::vector<float> row_scales() const;
};

struct LayoutPart {
  std::string name;             // behind that of the module: ".qweight"
  std::string_view dtype;       // as safetensors calls it
  std::vector<uint64_t> shape;  // as PyTorch says it

  uint64_t bytes() const;
};

class LayoutWriter {
 public:
  virtual ~LayoutWriter() = default;
  // The tensors of a matrix of that shape. Error for one that the layout cannot hold.
  virtual std::vector<LayoutPart> parts(uint64_t rows, uint64_t columns) const = 0;
  // Their bytes. `dtype`: of the model's other matrices, as PyTorch calls it.
  virtual std::vector<std::vector<std::byte>> pack(const EncodedMatrix& matrix,
                                                   std::string_view dtype) const = 0;
  // quantization_config of config.json.
  virtual nlohmann::ordered_json config(std::string_view dtype) const = 0;
};
using LayoutWriterPtr = std::shared_ptr<const LayoutWriter>;

// Of integers in groups. `symmetric`: zeros are in the middle.
struct GroupScheme {
  int bits = 4;
  uint64_t group = 128;  // 0: a row
  bool symmetric = true;
};

LayoutWriterPtr gptq_writer(const GroupScheme& scheme);
LayoutWriterPtr awq_writer(uint64_t group);
LayoutWriterPtr hqq_writer(int bits, uint64_t group);
LayoutWriterPtr bitsandbytes_writer(std::string_view quant_type, bool nested);  // nf4, fp4
LayoutWriterPtr bitnet_writer();
// compressed-tensors.
LayoutWriterPtr packed_writer(const GroupScheme& scheme);  // pack-quantized
LayoutWriterPtr w8a8_writer();                             // int-quantized, dynamic activations
LayoutWriterPtr fp8_dynamic_writer();                      // float-quantized, the same
LayoutWriterPtr nvfp4_writer();
LayoutWriterPtr mxfp4_writer();

// What several of them write alike: numbers as bytes of a type; a matrix of `columns` turned.
std::vector<std::byte> f16_bytes(std::span<const float> numbers);
std::vector<std::byte> f32_bytes(std::span<const float> numbers);
template <typename T>
std::vector<T> transposed(const std::vector<T>& matrix, uint64_t columns) {
  const uint64_t rows = matrix.size() / columns;
  std::vector<T> turned(matrix.size());
  for (uint64_t r = 0; r < rows; ++r)
    for (uint64_t c = 0; c < columns; ++c) turned[c * rows + r] = matrix[r * columns + c];
  return turned;
}
// Error that names `what` unless `count` is a multiple.
void expect_multiple(std::string_view what, uint64_t count, uint64_t of);

}  // namespace tessera::huggingface
