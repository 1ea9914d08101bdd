// bitsandbytes: LLM.int8() (Dettmers et al. 2022) and the 4-bit types of QLoRA (2023).
//
//   8 bits  X.weight I8 [out, in], X.SCB F32 [out]: w = q * SCB / 127; X.weight_format U8: 0, rows
//   4 bits  X.weight, N / 2 bytes, whatever their dtype: the matrix row by row, first element high
//           X.weight.quant_map F32 [16]: what the codes stand for
//           X.weight.absmax F32 [N / 64], a scale for each block of elements, which may span rows
//           X.weight.quant_state.bitsandbytes__nf4 (or __fp4): bytes of JSON: shape, block sizes
//   4 bits, double quantization: absmax is U8;
//           absmax[i] = nested_quant_map[u8] * nested_absmax[i / 256] + nested_offset
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/checked.h"
#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/layouts/checks.h"
#include "files/huggingface/layouts/code_levels.h"
#include "files/huggingface/layouts/kinds.h"
#include "files/huggingface/layouts/quantized_matrix.h"

namespace tessera::huggingface {
namespace {

constexpr std::string_view kStates[] = {".quant_state.bitsandbytes__nf4",
                                        ".quant_state.bitsandbytes__fp4"};

// absmax of doubly quantized blocks.
class NestedGrid final : public Grid {
 public:
  NestedGrid(Bytes codes, std::vector<float> map, std::vector<float> scales, float offset,
             uint64_t columns, uint64_t block, uint64_t nested_block)
      : codes_(codes),
        map_(std::move(map)),
        scales_(std::move(scales)),
        offset_(offset),
        columns_(columns),
        block_(block),
        nested_block_(nested_block) {}
  float at(uint64_t row, uint64_t column) const override {
    const uint64_t i = (row * columns_ + column) / block_;
    return map_[static_cast<size_t>(codes_[i])] * scales_[i / nested_block_] + offset_;
  }

 private:
  Bytes codes_;
  std::vector<float> map_, scales_;
  float offset_;
  uint64_t columns_, block_, nested_block_;
};

// "quant_state", JSON in a tensor of bytes.
struct State {
  uint64_t rows, columns, block, nested_block;
  float nested_offset;
};

uint64_t block_size(const Settings& settings, std::string_view key) {
  const int64_t size = settings.require_integer(key);
  if (size < 1 || size > (1 << 20)) settings.refuse(key, "1 to 1048576");
  return static_cast<uint64_t>(size);
}

State state_of(const StoredTensor& tensor, bool nested) {
  expect_dtype(tensor, "U8");
  constexpr size_t kMaxBytes = 1 << 16;
  if (tensor.bytes.size() > kMaxBytes) {
    fail("tensor '{}' has {} bytes, expected at most {}", printable(tensor.name),
         tensor.bytes.size(), kMaxBytes);
  }
  const std::string_view text(reinterpret_cast<const char*>(tensor.bytes.data()),
                              tensor.bytes.size());
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded()) fail("tensor '{}' is no JSON", printable(tensor.name));
  const Settings settings(json, printable(tensor.name));
  const nlohmann::json* shape = settings.find("shape");
  const auto is_size = [](const nlohmann::json& n) {
    return n.is_number_unsigned() && n.get<uint64_t>() > 0;
  };
  if (shape == nullptr || !shape->is_array() || shape->size() != 2 ||
      !std::ranges::all_of(*shape, is_size)) {
    settings.refuse("shape", "[rows, columns]");
  }
  State state = {shape->at(0).get<uint64_t>(), shape->at(1).get<uint64_t>(),
                 block_size(settings, "blocksize"), 0, 0};
  if (nested) {
    state.nested_block = block_size(settings, "nested_blocksize");
    const nlohmann::json* offset = settings.find("nested_offset");
    if (offset == nullptr || !offset->is_number() || std::fabs(offset->get<double>()) > FLT_MAX)
      settings.refuse("nested_offset", "a number");
    state.nested_offset = static_cast<float>(offset->get<double>());
  }
  return state;
}

std::vector<float> table_of(const StoredTensor& tensor, uint64_t size) {
  expect_dtype(tensor, "F32");
  expect_shape(tensor, {size});
  return floats_of(*tensor.format, tensor.bytes);
}

GridPtr scales_of(const RawTensors& tensors, const std::string& name, const State& state,
                  uint64_t elements) {
  const StoredTensor& absmax = tensors.require(name + ".absmax");
  const uint64_t blocks = ceil_div(elements, state.block);
  expect_shape(absmax, {blocks});
  if (state.nested_block == 0) {
    expect_dtype(absmax, "F32");
    return flat_grid({.format = absmax.format,
                      .bytes = absmax.bytes,
                      .width = state.columns,
                      .group = state.block});
  }
  expect_dtype(absmax, "U8");
  return std::make_shared<NestedGrid>(
      absmax.bytes, table_of(tensors.require(name + ".nested_quant_map"), 256),
      table_of(tensors.require(name + ".nested_absmax"), ceil_div(blocks, state.nested_block)),
      state.nested_offset, state.columns, state.block, state.nested_block);
}

StoredTensor read_4bit(const RawTensors& tensors, const std::string& name,
                       std::string_view state_suffix) {
  const StoredTensor& weight = tensors.require(name);
  const bool nested = tensors.find(name + ".nested_absmax") != nullptr;
  const State state = state_of(tensors.require(name + std::string(state_suffix)), nested);
  const uint64_t elements = checked_mul(state.rows, state.columns, "elements of a matrix");
  if (elements % 2 != 0 || elements / 2 != weight.bytes.size()) {
    fail("tensor '{}' has {} bytes, expected {} for [{}, {}] in 4 bits", printable(name),
         weight.bytes.size(), ceil_div(elements, 2), state.rows, state.columns);
  }
  QuantizedMatrix matrix;
  matrix.name = name;
  matrix.shape = {state.columns, state.rows};
  matrix.codes = nibble_codes(weight.bytes, state.columns, false);
  matrix.kind = state_suffix == kStates[0] ? GroupedCodes::kNF4 : GroupedCodes::kFP4;
  std::vector<float> levels = table_of(tensors.require(name + ".quant_map"), 16);
  if (levels != levels_of(matrix.kind)) matrix.levels = std::move(levels);
  matrix.scales = scales_of(tensors, name, state, elements);
  // Columns that share a block in every row.
  matrix.group = std::gcd(state.columns, state.block);
  matrix.stored = {weight.bytes, tensors.require(name + ".absmax").bytes};
  return put_together(std::move(matrix));
}

StoredTensor read_8bit(const RawTensors& tensors, const std::string& module) {
  const StoredTensor& weight = tensors.require(module + ".weight");
  const StoredTensor& scales = tensors.require(module + ".SCB");
  expect_dtype(weight, "I8");
  expect_axes(weight, 2);
  expect_dtype(scales, "F32");
  expect_shape(scales, {weight.shape[1]});
  if (const StoredTensor* layout = tensors.find(module + ".weight_format")) {
    expect_dtype(*layout, "U8");
    if (layout->elements() != 1 || layout->bytes[0] != std::byte{0})
      fail("tensor '{}' says that rows are tiled, expected 0 (row by row)",
           printable(layout->name));
  }
  QuantizedMatrix matrix;
  matrix.name = weight.name;
  matrix.shape = weight.shape;
  matrix.bits = 8;
  matrix.zero_point = 128;
  matrix.codes = byte_codes(weight.bytes, weight.columns(), 0x80);
  matrix.scales = float_grid({.format = scales.format,
                              .bytes = scales.bytes,
                              .columns = weight.columns(),
                              .row_step = 1,
                              .divisor = 127});
  matrix.stored = {weight.bytes, scales.bytes};
  return put_together(std::move(matrix));
}

}  // namespace

void apply_bitsandbytes(const Settings&, RawTensors& tensors) {
  for (const std::string_view suffix : kStates) {
    for (const std::string& name : tensors.modules(suffix)) {
      StoredTensor tensor = read_4bit(tensors, name, suffix);
      tensors.replace(name, std::move(tensor));
      for (const char* part : {".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map"})
        tensors.drop(name + part);
      tensors.drop(name + std::string(suffix));
    }
  }
  for (const std::string& module : tensors.modules(".SCB")) {
    tensors.replace(module + ".weight", read_8bit(tensors, module));
    tensors.drop(module + ".SCB");
    tensors.drop(module + ".weight_format");
  }
}

}  // namespace tessera::huggingface
