// FP8: X.weight in E4M3 or E5M2, with scales in a tensor of their own, which multiply.
//
//   X.weight_scale_inv  [ceil(out / 128), ceil(in / 128)], blocks (DeepSeek; weight_block_size says
//                       of how many rows and columns)
//   X.weight_scale      one, or [out] or [out, 1] (FBGEMM, vLLM)
//   X.qscale_weight     one (Mistral)
//
// X.input_scale and its like, which are for activations in FP8, are dropped: activations are not
// rounded so here.
#include "files/huggingface/layouts/fp8.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/layouts/checks.h"
#include "files/huggingface/layouts/kinds.h"
#include "files/huggingface/layouts/scales.h"

namespace tessera::huggingface {
namespace {

struct Block {
  uint64_t rows = 128, columns = 128;
};

// nullopt if the configuration does not say.
std::optional<Block> block_of(const Settings& config) {
  const nlohmann::json* value = config.find("weight_block_size");
  if (value == nullptr) return std::nullopt;
  const auto is_size = [](const nlohmann::json& n) {
    return n.is_number_integer() && n.get<int64_t>() > 0;
  };
  if (!value->is_array() || value->size() != 2 || !std::ranges::all_of(*value, is_size))
    config.refuse("weight_block_size", "[rows, columns]");
  return Block{value->at(0).get<uint64_t>(), value->at(1).get<uint64_t>()};
}

// As the configuration says (a larger grid is padded then) or, where it says nothing, 128 x 128, or
// as many as the grid divides the matrix into.
void set_blocks(QuantizedMatrix& matrix, const StoredTensor& scales, std::optional<Block> said) {
  if (matrix.shape.size() != 2)
    fail("tensor '{}' has {} axes, expected 2", printable(matrix.name), matrix.shape.size());
  const uint64_t columns = matrix.shape[0], rows = matrix.shape[1];
  const uint64_t across = scales.columns(), down = scales.rows();
  Block block = said.value_or(Block());
  const bool fits =
      across == ceil_div(columns, block.columns) && down == ceil_div(rows, block.rows);
  if (!said && !fits && columns % across == 0 && rows % down == 0)
    block = {.rows = rows / down, .columns = columns / across};
  if (scales.elements() == 1) return set_row_scales(matrix, scales);
  set_block_scales(matrix, scales, block.rows, block.columns);
}

constexpr const char* kOfActivations[] = {
    ".input_scale", ".activation_scale", ".input_scale_ub", ".qscale_act",       ".output_scale",
    ".k_scale",     ".v_scale",          ".q_scale",        ".prob_output_scale"};

}  // namespace

void drop_activation_scales(RawTensors& tensors) {
  for (const char* suffix : kOfActivations)
    for (const std::string& module : tensors.modules(suffix)) tensors.drop(module + suffix);
}

bool is_fp8(const StoredTensor& tensor) {
  return tensor.format->name == "F8_E4M3" || tensor.format->name == "F8_E5M2";
}

QuantizedMatrix fp8_matrix(const StoredTensor& weight) {
  static constexpr auto kDtypes = std::to_array<std::string_view>({"F8_E4M3", "F8_E5M2"});
  expect_dtype(weight, kDtypes);
  QuantizedMatrix matrix;
  matrix.name = weight.name;
  matrix.shape = weight.shape;
  matrix.kind = weight.format->name == "F8_E5M2" ? GroupedCodes::kE5M2 : GroupedCodes::kE4M3;
  matrix.codes = codes_of(weight, 0);
  matrix.stored = weight.stored();
  return matrix;
}

void apply_fp8(const Settings& config, RawTensors& tensors) {
  for (const std::string& module : tensors.modules(".weight")) {
    const StoredTensor& weight = tensors.require(module + ".weight");
    if (!is_fp8(weight)) continue;
    QuantizedMatrix matrix = fp8_matrix(weight);
    const std::string inverse = module + ".weight_scale_inv", plain = module + ".weight_scale",
                      mistral = module + ".qscale_weight";
    if (const StoredTensor* blocks = tensors.find(inverse)) {
      set_blocks(matrix, *blocks, block_of(config));
    } else if (const StoredTensor* scales = tensors.find(plain)) {
      set_row_scales(matrix, *scales);
    } else if (const StoredTensor* scale = tensors.find(mistral)) {
      set_row_scales(matrix, *scale);
    } else {
      fail("'{}': tensor '{}' is missing", printable(module), printable(inverse));
    }
    tensors.replace(module + ".weight", put_together(std::move(matrix)));
    for (const std::string& name : {inverse, plain, mistral}) tensors.drop(name);
  }
  drop_activation_scales(tensors);
}

}  // namespace tessera::huggingface
