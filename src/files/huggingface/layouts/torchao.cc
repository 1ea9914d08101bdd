// torchao, in its safetensors form: a matrix X.weight is taken apart into X._weight_qdata,
// X._weight_scale and so on, and the header's metadata says under "X.weight" what it was:
// {"_type": "Int4Tensor", "_data": {"block_size": [1, 32], ...}, "_tensor_data_names": [...]}
//
//   Int8Tensor, IntxUnpackedToInt8Tensor
//                 qdata I8 [out, in]; scale, zero_point [out, groups]: w = (q - zero_point) * scale
//   Int4Tensor    qdata, a byte for two columns, the even one low, signed; scale, zero_point
//                 [groups, out]: w = q * scale + zero_point
//   Float8Tensor  qdata E4M3 [out, in]; scale, one or [out, 1]
//
// Int4TilePackedTo4dTensor and others are made for single kernels.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/layouts/checks.h"
#include "files/huggingface/layouts/fp8.h"
#include "files/huggingface/layouts/kinds.h"
#include "files/huggingface/layouts/quantized_matrix.h"
#include "files/huggingface/layouts/scales.h"

namespace tessera::huggingface {
namespace {

constexpr const char* kParts[] = {"qdata",         "scale",           "zero_point",
                                  "act_pre_scale", "act_quant_scale", "act_quant_zero_point"};

struct Module {
  const RawTensors& tensors;
  std::string prefix;  // "X._weight_"
  std::string name;    // "X.weight"
  uint64_t group;      // columns

  const StoredTensor& require(const char* part) const { return tensors.require(prefix + part); }
  const StoredTensor* find(const char* part) const { return tensors.find(prefix + part); }
};

// The minimum of unsigned codes: what `zero` is to signed ones lies 8 codes higher.
class MinsOfMiddles final : public Grid {
 public:
  MinsOfMiddles(GridPtr scales, GridPtr middles)
      : scales_(std::move(scales)), middles_(std::move(middles)) {}
  float at(uint64_t row, uint64_t column) const override {
    return middles_->at(row, column) - 8 * scales_->at(row, column);
  }

 private:
  GridPtr scales_, middles_;
};

// Two's complement in 4 bits, made unsigned.
class SignedNibbles final : public Codes {
 public:
  SignedNibbles(Bytes bytes, uint64_t columns)
      : codes_(nibble_codes(bytes, columns, true)), columns_(columns) {}
  void read(uint64_t first, uint64_t count, uint8_t* out) const override {
    codes_->read(first, count, out);
    for (uint64_t i = 0; i < count * columns_; ++i) out[i] ^= 8;
  }

 private:
  CodesPtr codes_;
  uint64_t columns_;
};

StoredTensor read_int8(const Module& module) {
  const StoredTensor& codes = module.require("qdata");
  const StoredTensor& scales = module.require("scale");
  expect_dtype(codes, "I8");
  expect_axes(codes, 2);
  QuantizedMatrix matrix;
  matrix.name = module.name;
  matrix.shape = codes.shape;
  matrix.bits = 8;
  matrix.zero_point = 128;
  matrix.codes = byte_codes(codes.bytes, codes.columns(), 0x80);
  matrix.stored = {codes.bytes};
  set_group_scales(matrix, scales, module.group);
  if (const StoredTensor* zeros = module.find("zero_point")) {
    expect_dtype(*zeros, "I8");
    expect_shape(*zeros, torch_shape(scales));
    const uint64_t across = scales.elements() == 1 ? 0 : scales.elements() / codes.rows();
    matrix.zeros =
        byte_grid(zeros->bytes, 0x80, matrix.group == 0 ? codes.columns() : matrix.group, across);
    matrix.stored.push_back(zeros->bytes);
  }
  return put_together(std::move(matrix));
}

StoredTensor read_int4(const Module& module) {
  static constexpr auto kBytes = std::to_array<std::string_view>({"I8", "U8"});
  const StoredTensor& codes = module.require("qdata");
  const StoredTensor& scales = module.require("scale");
  const StoredTensor& middles = module.require("zero_point");
  expect_dtype(codes, kBytes);
  expect_axes(codes, 2);
  const uint64_t columns = codes.shape[0] * 2, rows = codes.shape[1];
  const uint64_t group = module.group == 0 ? columns : module.group;
  for (const StoredTensor* tensor : {&scales, &middles}) {
    expect_floats(*tensor);
    expect_shape(*tensor, {ceil_div(columns, group), rows});
  }
  const auto grid = [&](const StoredTensor& tensor) {
    return float_grid({.format = tensor.format,
                       .bytes = tensor.bytes,
                       .columns = group,
                       .row_step = 1,
                       .column_step = rows});
  };
  QuantizedMatrix matrix;
  matrix.name = module.name;
  matrix.shape = {columns, rows};
  matrix.codes = std::make_shared<SignedNibbles>(codes.bytes, columns);
  matrix.scales = grid(scales);
  matrix.mins = std::make_shared<MinsOfMiddles>(matrix.scales, grid(middles));
  matrix.group = group;
  matrix.values = scales.format;
  matrix.stored = {codes.bytes, scales.bytes, middles.bytes};
  return put_together(std::move(matrix));
}

StoredTensor read_float8(const Module& module) {
  const StoredTensor& codes = module.require("qdata");
  expect_axes(codes, 2);
  QuantizedMatrix matrix = fp8_matrix(codes);
  matrix.name = module.name;
  set_group_scales(matrix, module.require("scale"), module.group);
  return put_together(std::move(matrix));
}

struct Kind {
  std::string_view name;
  StoredTensor (*read)(const Module& module);
};
constexpr Kind kKinds[] = {{"Int8Tensor", read_int8},
                           {"IntxUnpackedToInt8Tensor", read_int8},
                           {"Int4Tensor", read_int4},
                           {"Float8Tensor", read_float8}};

// Columns of "block_size": [1, 32]; 0 where it does not say.
uint64_t group_of(const Settings& settings) {
  const auto data = settings.object("_data");
  const nlohmann::json* block = data ? data->find("block_size") : nullptr;
  if (block == nullptr) return 0;
  if (!block->is_array() || block->empty() || !block->back().is_number_unsigned())
    data->refuse("block_size", "[rows, columns]");
  return block->back().get<uint64_t>();
}

StoredTensor read(const RawTensors& tensors, const std::string& name, const std::string& prefix) {
  const std::string* text = tensors.metadata(name);
  if (text == nullptr)
    fail("'{}': no metadata of a file says what torchao made of it", printable(name));
  const nlohmann::json json = nlohmann::json::parse(*text, nullptr, false);
  if (json.is_discarded()) fail("metadata '{}' is no JSON", printable(name));
  const Settings settings(json, "metadata " + printable(name));
  const std::string type = settings.text("_type", "");
  const auto kind = std::ranges::find(kKinds, type, &Kind::name);
  if (kind == std::end(kKinds)) {
    std::string known;
    for (const Kind& each : kKinds) known += (known.empty() ? "" : ", ") + std::string(each.name);
    settings.refuse("_type", known);
  }
  if (tensors.find(prefix + "act_pre_scale") != nullptr)
    fail("tensor '{}': scales of activations are not supported",
         printable(prefix + "act_pre_scale"));
  return kind->read({tensors, prefix, name, group_of(settings)});
}

}  // namespace

void apply_torchao(const Settings&, RawTensors& tensors) {
  constexpr std::string_view kSuffix = "._weight_qdata";
  for (const std::string& module : tensors.modules(kSuffix)) {
    const std::string prefix = module + "._weight_";
    StoredTensor tensor = read(tensors, module + ".weight", prefix);
    tensors.replace(prefix + "qdata", std::move(tensor));
    for (const char* part : kParts) tensors.drop(prefix + part);
  }
}

}  // namespace tessera::huggingface
