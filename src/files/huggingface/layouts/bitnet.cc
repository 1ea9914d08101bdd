// BitNet b1.58 (Ma et al. 2024) as transformers packs it: for each module X
//
//   X.weight        U8 [out / 4, in]: field i (2 bits, lowest first) of row r is the matrix's row
//                   r + i * out / 4; code 0, 1, 2 for -1, 0, 1
//   X.weight_scale  one number, which divides under the class BitLinear, and multiplies under
//                   AutoBitLinear (linear_class of the configuration): the two disagree
//
// With quantization_mode "online" the file has plain weights, which the model rounds when it runs:
// s = 1 / mean |w|, w = round(w * s), clamped to -1 .. 1, / s.
#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/layouts/checks.h"
#include "files/huggingface/layouts/kinds.h"
#include "files/huggingface/layouts/quantized_matrix.h"

namespace tessera::huggingface {
namespace {

bool divides(const Settings& config) {
  const std::string name = config.text("linear_class", "bitlinear");
  if (name != "bitlinear" && name != "autobitlinear")
    config.refuse("linear_class", "bitlinear or autobitlinear");
  return name == "bitlinear";
}

StoredTensor read(const StoredTensor& weight, const StoredTensor& scale, bool divides) {
  expect_dtype(weight, "U8");
  expect_axes(weight, 2);
  const float number = number_of(scale);
  QuantizedMatrix matrix;
  matrix.name = weight.name;
  matrix.shape = {weight.shape[0], weight.shape[1] * 4};
  matrix.bits = 2;
  matrix.zero_point = 1;
  matrix.codes = planar_codes(
      weight.bytes, weight.columns(),
      {.word_bytes = 1, .bits = 2, .fields = 4, .high_first = false, .plane = weight.bytes.size()});
  matrix.scales = constant_grid(divides ? 1 / number : number);
  matrix.stored = {weight.bytes, scale.bytes};
  return put_together(std::move(matrix));
}

}  // namespace

void apply_bitnet(const Settings& config, RawTensors& tensors) {
  if (config.text("quantization_mode", "offline") == "online")
    config.refuse("quantization_mode", "offline (packed weights)");
  const bool division = divides(config);
  for (const std::string& module : tensors.modules(".weight_scale")) {
    const StoredTensor& weight = tensors.require(module + ".weight");
    const StoredTensor& scale = tensors.require(module + ".weight_scale");
    tensors.replace(module + ".weight", read(weight, scale, division));
    tensors.drop(module + ".weight_scale");
  }
}

}  // namespace tessera::huggingface
