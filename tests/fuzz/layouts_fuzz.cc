// Tensors of a quantized module with any dtypes, shapes and bytes, under any settings: rows that
// lie within their bytes, or one line of Error.
//
//   layout | a line of JSON, the settings beside quant_method | tensors: name, dtype, axes, sizes
//
// and what is left fills the tensors, again and again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "files/huggingface/layouts/layouts.h"
#include "files/safetensors/dtypes.h"

namespace {

using tessera::StoredTensor;
using tessera::huggingface::RawTensors;

constexpr std::string_view kMethods[] = {"gptq",    "awq",    "bitsandbytes", "hqq",
                                         "fp8",     "mxfp4",  "modelopt",     "compressed-tensors",
                                         "torchao", "bitnet", "fbgemm_fp8",   "other"};
constexpr std::string_view kNames[] = {"m.qweight",
                                       "m.qzeros",
                                       "m.scales",
                                       "m.g_idx",
                                       "m.weight",
                                       "m.weight.absmax",
                                       "m.weight.quant_map",
                                       "m.weight.nested_absmax",
                                       "m.weight.nested_quant_map",
                                       "m.weight.quant_state.bitsandbytes__nf4",
                                       "m.weight.quant_state.bitsandbytes__fp4",
                                       "m.SCB",
                                       "m.weight_format",
                                       "m.W_q",
                                       "m.scale",
                                       "m.zero",
                                       "m.axis",
                                       "m.shape",
                                       "m.packing",
                                       "m.quant_scale",
                                       "m.weight_packed",
                                       "m.weight_scale",
                                       "m.weight_shape",
                                       "m.weight_zero_point",
                                       "m.weight_g_idx",
                                       "m.weight_global_scale",
                                       "m.weight_scale_2",
                                       "m.bitmask",
                                       "m.compressed",
                                       "m.row_offsets",
                                       "m.weight_scale_inv",
                                       "m.qscale_weight",
                                       "m_blocks",
                                       "m_scales",
                                       "m._weight_qdata",
                                       "m._weight_scale",
                                       "m._weight_zero_point",
                                       "m.input_scale"};
constexpr std::string_view kDtypes[] = {"I32", "F16",  "F32",     "U8",      "I8",
                                        "I64", "BF16", "F8_E4M3", "F8_E5M2", "F4"};
constexpr size_t kMostBytes = 1 << 16;

struct Input {
  const uint8_t* data;
  size_t size;

  uint8_t byte() {
    if (size == 0) return 0;
    --size;
    return *data++;
  }
  std::string line() {
    const std::string_view rest(reinterpret_cast<const char*>(data), size);
    const std::string text(rest.substr(0, rest.find('\n')));
    const size_t used = std::min(text.size() + 1, size);
    data += used;
    size -= used;
    return text;
  }
};

// Sizes of matrices are mostly round.
uint64_t size_of(uint8_t byte) {
  return byte < 128 ? byte : (byte & 31u) * 16 + (byte >> 5 & 1);
}

// Each tensor's bytes in a heap block of their own, where AddressSanitizer sees a read past the
// end.
void add_tensors(Input& input, RawTensors& tensors, std::vector<std::vector<std::byte>>& blocks) {
  const size_t count = input.byte() % 8;
  for (size_t i = 0; i < count; ++i) {
    StoredTensor tensor;
    tensor.name = kNames[input.byte() % std::size(kNames)];
    tensor.format =
        tessera::safetensors::format_of_dtype(kDtypes[input.byte() % std::size(kDtypes)]);
    const size_t axes = 1 + input.byte() % 4;
    for (size_t axis = 0; axis < axes; ++axis) tensor.shape.push_back(size_of(input.byte()));
    if (tensor.elements() == 0 || tensor.columns() % tensor.format->block_elements != 0 ||
        tensor.elements() > kMostBytes || tensors.find(tensor.name) != nullptr) {
      continue;
    }
    blocks.emplace_back(tensor.format->row_bytes(tensor.columns()) * tensor.rows());
    tensor.bytes = blocks.back();
    tensors.add(std::move(tensor));
  }
  size_t position = 0;
  for (std::vector<std::byte>& block : blocks) {
    for (std::byte& b : block)
      b = input.size == 0 ? std::byte{0}
                          : static_cast<std::byte>(input.data[position++ % input.size]);
  }
}

void read(const StoredTensor& tensor) {
  if (tensor.source == nullptr) return;
  if (tensor.elements() > 64 * kMostBytes) std::abort();  // more than any bytes can mean
  std::vector<float> values(tensor.elements());
  tensor.decode(0, tensor.rows(), values);
  std::vector<float> last(tensor.columns());
  tensor.decode(tensor.rows() - 1, 1, last);
  static_cast<void>(tensor.stored_bytes());
  if (tensor.order == nullptr) return;
  std::vector<uint32_t> order = *tensor.order;
  std::ranges::sort(order);
  for (size_t c = 0; c < order.size(); ++c)
    if (order[c] != c) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input{data, size};
  const std::string_view method = kMethods[input.byte() % std::size(kMethods)];
  const std::string settings = input.line();
  nlohmann::json quantization = nlohmann::json::parse(settings, nullptr, false);
  if (quantization.is_discarded()) quantization = nlohmann::json::object();
  if (quantization.is_object()) quantization["quant_method"] = method;
  const nlohmann::json config = {{"quantization_config", std::move(quantization)}};
  try {
    RawTensors tensors;
    std::vector<std::vector<std::byte>> blocks;
    const std::string kind = input.byte() % 2 == 0 ? "Int8Tensor" : "Int4Tensor";
    tensors.add_metadata(
        {{"m.weight", R"({"_data": {"block_size": [1, 32]}, "_type": ")" + kind + "\"}"}});
    add_tensors(input, tensors, blocks);
    tessera::huggingface::apply_layouts(config, nullptr, tensors);
    for (const StoredTensor& tensor : tensors.take_all()) read(tensor);
  } catch (const tessera::Error& error) {
    for (const char c : std::string_view(error.what())) {
      if (static_cast<unsigned char>(c) < 0x20) std::abort();
    }
  }
  return 0;
}
