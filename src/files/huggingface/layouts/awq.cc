// AWQ (Lin et al. 2023) as AutoAWQ writes it, 4 bits. For each module X, in -> out:
//
//   gemm   X.qweight I32 [in, out / 8]   nibble i of a word is column 8 w + {0,2,4,6,1,3,5,7}[i]
//          X.qzeros  I32 [groups, out / 8], in the same order
//          X.scales  F16 [groups, out]
//   gemv   X.qweight I32 [out, in / 8], from the lowest bits on
//          X.qzeros  I32 [out, width], width * 8 >= groups: padded
//          X.scales  F16 [out, width * 8]
//
// w[out][in] = scale * (q - zero).
#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/layouts/checks.h"
#include "files/huggingface/layouts/kinds.h"
#include "files/huggingface/layouts/quantized_matrix.h"

namespace tessera::huggingface {
namespace {

struct Parts {
  const StoredTensor &weight, &scales;
  const StoredTensor* zeros;  // nullptr: 8 everywhere
};

Parts parts_of(const RawTensors& tensors, const std::string& module) {
  const Parts parts = {tensors.require(module + ".qweight"), tensors.require(module + ".scales"),
                       tensors.find(module + ".qzeros")};
  expect_dtype(parts.weight, "I32");
  expect_axes(parts.weight, 2);
  expect_floats(parts.scales);
  expect_axes(parts.scales, 2);
  if (parts.zeros != nullptr) {
    expect_dtype(*parts.zeros, "I32");
    expect_axes(*parts.zeros, 2);
  }
  return parts;
}

// What both have alike.
QuantizedMatrix matrix_of(const Parts& parts, const std::string& module, uint64_t rows,
                          uint64_t columns, uint64_t group) {
  QuantizedMatrix matrix;
  matrix.name = module + ".weight";
  matrix.shape = {columns, rows};
  matrix.group = group;
  matrix.zero_point = 8;
  matrix.values = parts.scales.format;
  matrix.stored = {parts.weight.bytes, parts.scales.bytes};
  if (parts.zeros != nullptr) matrix.stored.push_back(parts.zeros->bytes);
  return matrix;
}

StoredTensor read_gemm(const Parts& parts, const std::string& module, uint64_t group) {
  const uint64_t columns = parts.weight.shape[1], rows = parts.weight.shape[0] * 8;
  if (group == 0) group = columns;
  const uint64_t groups = ceil_div(columns, group);
  expect_shape(parts.scales, {groups, rows});
  if (parts.zeros != nullptr) expect_shape(*parts.zeros, {groups, rows / 8});

  QuantizedMatrix matrix = matrix_of(parts, module, rows, columns, group);
  matrix.codes = awq_codes(parts.weight.bytes, rows, columns);
  matrix.scales = float_grid({.format = parts.scales.format,
                              .bytes = parts.scales.bytes,
                              .columns = group,
                              .row_step = 1,
                              .column_step = rows});
  if (parts.zeros != nullptr) {
    matrix.zeros = packed_grid({.bytes = parts.zeros->bytes,
                                .columns = group,
                                .row_bits = 4,
                                .column_bits = rows * 4,
                                .awq_order = true});
  }
  return put_together(std::move(matrix));
}

StoredTensor read_gemv(const Parts& parts, const std::string& module, uint64_t group) {
  const uint64_t columns = parts.weight.shape[0] * 8, rows = parts.weight.shape[1];
  if (group == 0) group = columns;
  const uint64_t width = parts.scales.shape[0];
  if (parts.scales.shape[1] != rows || width < ceil_div(columns, group)) {
    fail("tensor '{}' has the shape [{}], expected [{}, {} or more]", printable(parts.scales.name),
         fmt::join(torch_shape(parts.scales), ", "), rows, ceil_div(columns, group));
  }
  if (parts.zeros != nullptr) expect_shape(*parts.zeros, {rows, ceil_div(width, 8)});

  QuantizedMatrix matrix = matrix_of(parts, module, rows, columns, group);
  matrix.codes = row_word_codes(parts.weight.bytes, columns, 4, true);
  matrix.scales = float_grid({.format = parts.scales.format,
                              .bytes = parts.scales.bytes,
                              .columns = group,
                              .row_step = width,
                              .column_step = 1});
  if (parts.zeros != nullptr) {
    matrix.zeros = packed_grid({.bytes = parts.zeros->bytes,
                                .columns = group,
                                .row_bits = parts.zeros->shape[0] * 32,
                                .column_bits = 4});
  }
  return put_together(std::move(matrix));
}

}  // namespace

void apply_awq(const Settings& config, RawTensors& tensors) {
  const char* version_key = config.find("version")             ? "version"
                            : config.find("checkpoint_format") ? "checkpoint_format"  // GPTQModel
                                                               : "format";
  std::string version = config.text(version_key, "gemm");
  std::ranges::transform(version, version.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (version != "gemm" && version != "gemv")
    config.refuse(version_key, "gemm or gemv (others are made for single kernels)");
  const char* bits_key = config.find("w_bit") ? "w_bit" : "bits";
  if (config.integer(bits_key, 4) != 4) config.refuse(bits_key, "4");
  const char* group_key = config.find("q_group_size") ? "q_group_size" : "group_size";
  const int64_t group = config.integer(group_key, 128);
  if (group < -1) config.refuse(group_key, "-1 (a row) or more");

  const auto read = version == "gemm" ? read_gemm : read_gemv;
  for (const std::string& module : tensors.modules(".qweight")) {
    StoredTensor tensor =
        read(parts_of(tensors, module), module, group <= 0 ? 0 : static_cast<uint64_t>(group));
    tensors.replace(module + ".qweight", std::move(tensor));
    for (const char* part : {".qzeros", ".scales"}) tensors.drop(module + part);
  }
}

}  // namespace tessera::huggingface
