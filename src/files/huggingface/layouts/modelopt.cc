// NVIDIA's ModelOpt: for each module X, by what its tensors are,
//
//   NVFP4  X.weight U8 [out, in / 2], low half first; X.weight_scale E4M3 [out, in / 16];
//          X.weight_scale_2 F32, one: w = code * scale * scale_2
//   FP8    X.weight E4M3; X.weight_scale, one, or one for each row
//
// Says so in config.json, or in hf_quant_config.json.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/layouts/checks.h"
#include "files/huggingface/layouts/fp8.h"
#include "files/huggingface/layouts/kinds.h"
#include "files/huggingface/layouts/nvfp4.h"
#include "files/huggingface/layouts/quantized_matrix.h"
#include "files/huggingface/layouts/scales.h"

namespace tessera::huggingface {

StoredTensor nvfp4_tensor(std::string name, const StoredTensor& packed, const StoredTensor& scales,
                          const StoredTensor& global, bool divides) {
  constexpr uint64_t kGroup = 16;
  expect_dtype(packed, "U8");
  expect_axes(packed, 2);
  const uint64_t rows = packed.shape[1], columns = packed.shape[0] * 2;
  expect_dtype(scales, "F8_E4M3");
  expect_shape(scales, {rows, ceil_div(columns, kGroup)});
  const float factor = number_of(global);
  QuantizedMatrix matrix;
  matrix.name = std::move(name);
  matrix.shape = {columns, rows};
  matrix.kind = GroupedCodes::kE2M1;
  matrix.codes = nibble_codes(packed.bytes, columns, true);
  matrix.scales = float_grid({.format = scales.format,
                              .bytes = scales.bytes,
                              .columns = kGroup,
                              .row_step = scales.shape[0],
                              .column_step = 1,
                              .factor = divides ? 1 : factor,
                              .divisor = divides ? factor : 1});
  matrix.group = kGroup;
  matrix.stored = {packed.bytes, scales.bytes, global.bytes};
  return put_together(std::move(matrix));
}

void apply_modelopt(const Settings& config, RawTensors& tensors) {
  const Settings settings = config.object("quantization").value_or(config);
  const std::string algorithm = settings.text("quant_algo", "");
  static constexpr auto kKnown = std::to_array<std::string_view>(
      {"", "NVFP4", "FP8", "FP8_PER_CHANNEL_PER_TOKEN", "MIXED_PRECISION"});
  if (std::ranges::find(kKnown, algorithm) == kKnown.end())
    settings.refuse("quant_algo", "NVFP4 or FP8");
  for (const std::string& module : tensors.modules(".weight_scale_2")) {
    StoredTensor tensor = nvfp4_tensor(module + ".weight", tensors.require(module + ".weight"),
                                       tensors.require(module + ".weight_scale"),
                                       tensors.require(module + ".weight_scale_2"), false);
    tensors.replace(module + ".weight", std::move(tensor));
    for (const char* part : {".weight_scale", ".weight_scale_2"}) tensors.drop(module + part);
  }
  for (const std::string& module : tensors.modules(".weight")) {
    const StoredTensor& weight = tensors.require(module + ".weight");
    if (!is_fp8(weight)) continue;
    const StoredTensor& scales = tensors.require(module + ".weight_scale");
    QuantizedMatrix matrix = fp8_matrix(weight);
    set_row_scales(matrix, scales);
    tensors.replace(module + ".weight", put_together(std::move(matrix)));
    tensors.drop(module + ".weight_scale");
  }
  drop_activation_scales(tensors);
}

}  // namespace tessera::huggingface
