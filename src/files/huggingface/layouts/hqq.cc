// HQQ (Badri, Shaji 2023): for each module X, in the layout that hqq and transformers both write,
//
//   X.W_q      the matrix, reshaped to [-1, group] (axis 1) or [group, -1] (axis 0) and packed: its
//              rows are cut into as many parts as a word has fields, part 0 in the highest
//   X.scale, X.zero   [rows, 1] (axis 1) or [1, columns] (axis 0) of that
//   X.shape    I64 [2]; X.axis an integer; X.packing U8: text, one of kPackings; and more such
//
// w = (q - zero) * scale. Whether rows share a scale (axis 1) or columns, both lie element after
// element as the matrix does, so only the index of an element counts.
#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "base/checked.h"
#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/layouts/checks.h"
#include "files/huggingface/layouts/kinds.h"
#include "files/huggingface/layouts/quantized_matrix.h"

namespace tessera::huggingface {
namespace {

struct Packing {
  std::string_view name;
  int word_bytes, bits, fields;
};
// Source: hqq/core/quantize.py, Quantizer.bit_to_packing. 5, 6 and 7 bits lie in bytes.
constexpr Packing kPackings[] = {
    {"8bit_u8", 1, 8, 1}, {"4bit_u8", 1, 4, 2}, {"3bit_32", 4, 3, 10},
    {"2bit_u8", 1, 2, 4}, {"1bit_u8", 1, 1, 8},
};

// All that a module may have beside its weights, as hqq encodes it.
constexpr const char* kParts[] = {".scale",
                                  ".zero",
                                  ".nbits",
                                  ".group_size",
                                  ".shape",
                                  ".axis",
                                  ".packing",
                                  ".compute_dtype",
                                  ".quant_scale",
                                  ".quant_zero",
                                  ".offload_meta",
                                  ".channel_wise",
                                  ".optimize",
                                  ".round_zero",
                                  ".view_as_float",
                                  ".stores_quant_config",
                                  ".unpack_view_dtype",
                                  ".encoded_state_dict",
                                  ".W_q"};

const Packing& packing_of(const StoredTensor& tensor) {
  expect_dtype(tensor, "U8");
  const std::string_view text(reinterpret_cast<const char*>(tensor.bytes.data()),
                              tensor.bytes.size());
  const auto found = std::ranges::find(kPackings, text, &Packing::name);
  if (found == std::end(kPackings))
    fail("tensor '{}' says '{}', which is no packing of HQQ", printable(tensor.name),
         printable(text));
  return *found;
}

// Old writers used bytes for all integers.
int64_t integer_of(const StoredTensor& tensor) {
  static constexpr auto kIntegers = std::to_array<std::string_view>({"U8", "I32", "I64"});
  expect_dtype(tensor, kIntegers);
  if (tensor.elements() != 1)
    fail("tensor '{}' has {} numbers, expected one", printable(tensor.name), tensor.elements());
  if (tensor.bytes.size() == 1) return static_cast<int64_t>(tensor.bytes[0]);
  int64_t number = 0;
  if (tensor.bytes.size() == sizeof(number)) {
    std::memcpy(&number, tensor.bytes.data(), sizeof(number));
    return number;
  }
  int32_t narrow;
  std::memcpy(&narrow, tensor.bytes.data(), sizeof(narrow));
  return narrow;
}

bool is_set(const RawTensors& tensors, const std::string& name) {
  const StoredTensor* tensor = tensors.find(name);
  return tensor != nullptr && integer_of(*tensor) != 0;
}

// Columns first.
std::vector<uint64_t> shape_of(const StoredTensor& tensor) {
  expect_dtype(tensor, "I64");
  expect_shape(tensor, {2});
  int64_t shape[2];
  std::memcpy(shape, tensor.bytes.data(), sizeof(shape));
  if (shape[0] < 1 || shape[1] < 1) {
    fail("tensor '{}' is [{}, {}], expected rows and columns", printable(tensor.name), shape[0],
         shape[1]);
  }
  return {static_cast<uint64_t>(shape[1]), static_cast<uint64_t>(shape[0])};
}

StoredTensor read(const RawTensors& tensors, const std::string& module) {
  for (const char* flag : {".quant_scale", ".quant_zero"}) {
    if (is_set(tensors, module + flag))
      fail("'{}': scales that are quantized themselves are not supported",
           printable(module + flag));
  }
  const StoredTensor& codes = tensors.require(module + ".W_q");
  const StoredTensor& scales = tensors.require(module + ".scale");
  const StoredTensor& zeros = tensors.require(module + ".zero");
  const Packing& packing = packing_of(tensors.require(module + ".packing"));
  const int64_t axis = integer_of(tensors.require(module + ".axis"));
  if (axis != 0 && axis != 1)
    fail("tensor '{}' is {}, expected 0 or 1", printable(module + ".axis"), axis);
  expect_floats(scales);
  expect_floats(zeros);
  expect_shape(zeros, torch_shape(scales));

  QuantizedMatrix matrix;
  matrix.name = module + ".weight";
  matrix.shape = shape_of(tensors.require(module + ".shape"));
  const uint64_t columns = matrix.shape[0];
  const uint64_t elements = checked_mul(columns, matrix.shape[1], "elements of a matrix");
  // The matrix as it was reshaped. One scale alone goes with its own shape.
  const uint64_t count = scales.elements();
  if (elements % count != 0) {
    fail("tensor '{}' has {} scales, which do not divide the {} elements", printable(scales.name),
         count, elements);
  }
  const uint64_t rows = count == 1 ? matrix.shape[1] : axis == 1 ? count : elements / count;
  const uint64_t words = codes.bytes.size() / static_cast<uint64_t>(packing.word_bytes);
  const auto fields = static_cast<uint64_t>(packing.fields);
  // Only words of 3 bits are padded.
  const bool whole = packing.bits == 3 || rows % fields == 0;
  if (!whole || ceil_div(rows, fields) * (elements / rows) != words) {
    fail("tensor '{}' has {} words, expected [{}, {}] packed {} to a word", printable(codes.name),
         words, rows, elements / rows, fields);
  }
  matrix.bits = packing.bits;
  matrix.values = scales.format;
  matrix.codes = planar_codes(codes.bytes, columns,
                              {.word_bytes = packing.word_bytes,
                               .bits = packing.bits,
                               .fields = packing.fields,
                               .high_first = true,
                               .plane = words});
  const uint64_t group = count == 1 ? elements : axis == 1 ? elements / count : count;
  const bool interleaved = count > 1 && axis == 0;
  const auto grid = [&](const StoredTensor& tensor) {
    return flat_grid({.format = tensor.format,
                      .bytes = tensor.bytes,
                      .width = columns,
                      .group = group,
                      .interleaved = interleaved});
  };
  matrix.scales = grid(scales);
  matrix.zeros = grid(zeros);
  matrix.group = interleaved ? 1 : std::gcd(columns, group);
  matrix.stored = {codes.bytes, scales.bytes, zeros.bytes};
  return put_together(std::move(matrix));
}

}  // namespace

void apply_hqq(const Settings&, RawTensors& tensors) {
  for (const std::string& module : tensors.modules(".W_q")) {
    tensors.replace(module + ".W_q", read(tensors, module));
    for (const char* part : kParts) tensors.drop(module + part);
  }
}

}  // namespace tessera::huggingface
