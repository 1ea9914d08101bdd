// Quantized modules of every layout, of which some tensors are missing, have another dtype, shape
// or contents, under any settings: rows that lie within their bytes, or one line of Error.
//
//   module | a line of JSON: settings, if they are an object | changes: tensor, what, new value
//
// and what is left fills the tensors, again and again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "files/huggingface/layouts/layouts.h"
#include "files/safetensors/dtypes.h"
#include "fuzz/input.h"

namespace {

using tessera::StoredTensor;
using tessera::fuzz::Input;
using tessera::huggingface::RawTensors;

// What a tensor's bytes are: the input's, numbers that are less than three, or given.
enum class Fill { kInput, kSmall, kFixed };

struct Part {
  std::string name, dtype;
  std::vector<uint64_t> shape;  // rows first
  Fill fill = Fill::kInput;
  std::string bytes = {};  // kFixed
};

struct Module {
  std::string_view settings;
  std::vector<Part> parts;
  std::string_view type = "";  // of torchao
};

std::string integers(std::initializer_list<int64_t> values) {
  const std::vector<int64_t> list = values;
  std::string bytes(list.size() * sizeof(int64_t), '\0');
  std::memcpy(bytes.data(), list.data(), bytes.size());
  return bytes;
}

Part text(const std::string& name, const std::string& bytes) {
  return {name, "U8", {bytes.size()}, Fill::kFixed, bytes};
}

Part shape_of(const std::string& name, int64_t rows, int64_t columns) {
  return {name, "I64", {2}, Fill::kFixed, integers({rows, columns})};
}

Module hqq(const std::string& packing, int64_t axis, const Part& codes, uint64_t scales) {
  return {R"({"quant_method":"hqq"})",
          {codes,
           {"m.scale", "F16", {scales, 1}},
           {"m.zero", "F16", {scales, 1}},
           {"m.axis", "I64", {1}, Fill::kFixed, integers({axis})},
           shape_of("m.shape", 16, 64),
           text("m.packing", packing)}};
}

std::vector<Module> make_modules() {
  const std::string w = "m.weight";
  const std::string_view pack4 =
      R"({"quant_method":"compressed-tensors","config_groups":{"a":{"targets":["re:m"],"weights":{"num_bits":4,"group_size":32}}}})";
  const std::string_view pack3 =
      R"({"quant_method":"compressed-tensors","config_groups":{"a":{"targets":["Linear"],"weights":{"num_bits":3,"group_size":32}}}})";
  const std::string state = R"({"shape":[8,96],"blocksize":64})";
  const std::string nested =
      R"({"shape":[8,96],"blocksize":64,"nested_blocksize":8,"nested_offset":0.5})";
  return {
      {R"({"quant_method":"gptq","bits":4,"group_size":32})",
       {{"m.qweight", "I32", {8, 16}},
        {"m.qzeros", "I32", {2, 2}},
        {"m.scales", "F16", {2, 16}},
        {"m.g_idx", "I32", {64}, Fill::kSmall}}},
      {R"({"quant_method":"gptq","bits":3,"group_size":32,"checkpoint_format":"gptq_v2"})",
       {{"m.qweight", "I32", {6, 32}}, {"m.qzeros", "I32", {2, 3}}, {"m.scales", "BF16", {2, 32}}}},
      {R"({"quant_method":"gptq","dynamic":{"m$":{"bits":8,"group_size":24}}})",
       {{"m.qweight", "I32", {12, 8}}, {"m.qzeros", "I32", {2, 2}}, {"m.scales", "F32", {2, 8}}}},
      {R"({"quant_method":"awq","bits":4,"group_size":32,"version":"gemm"})",
       {{"m.qweight", "I32", {64, 2}}, {"m.qzeros", "I32", {2, 2}}, {"m.scales", "F16", {2, 16}}}},
      {R"({"quant_method":"awq","bits":4,"group_size":32,"version":"gemv"})",
       {{"m.qweight", "I32", {16, 8}}, {"m.qzeros", "I32", {16, 1}}, {"m.scales", "F16", {16, 8}}}},
      {R"({"load_in_4bit":true})",
       {{w, "U8", {384, 1}},
        {w + ".quant_map", "F32", {16}},
        {w + ".absmax", "F32", {12}},
        text(w + ".quant_state.bitsandbytes__nf4", state)}},
      {R"({"load_in_4bit":true})",
       {{w, "U8", {384, 1}},
        {w + ".quant_map", "F32", {16}},
        {w + ".absmax", "U8", {12}},
        {w + ".nested_absmax", "F32", {2}},
        {w + ".nested_quant_map", "F32", {256}},
        text(w + ".quant_state.bitsandbytes__fp4", nested)}},
      {R"({"load_in_8bit":true})", {{w, "I8", {8, 48}}, {"m.SCB", "F32", {8}}}},
      hqq("4bit_u8", 1, {"m.W_q", "U8", {8, 64}}, 16),
      hqq("3bit_32", 1, {"m.W_q", "I32", {4, 32}}, 32),
      hqq("2bit_u8", 0, {"m.W_q", "U8", {16, 16}}, 16),
      {pack4,
       {{"m.weight_packed", "I32", {16, 8}},
        {"m.weight_scale", "F16", {16, 2}},
        shape_of("m.weight_shape", 16, 64),
        {"m.weight_zero_point", "I32", {2, 2}},
        {"m.weight_g_idx", "I32", {64}, Fill::kSmall}}},
      {pack3,
       {{"m.weight_packed", "I32", {16, 6}},
        {"m.weight_scale", "F16", {16, 2}},
        shape_of("m.weight_shape", 16, 64),
        {"m.weight_zero_point", "I32", {2, 2}}}},
      {pack4,
       {{w, "I8", {16, 64}},
        {"m.weight_scale", "BF16", {16, 2}},
        {"m.weight_zero_point", "I8", {16, 2}}}},
      {pack4,
       {{"m.weight_packed", "U8", {16, 32}},
        {"m.weight_scale", "F8_E4M3", {16, 4}},
        {"m.weight_global_scale", "F32", {1}}}},
      {pack4, {{"m.weight_packed", "U8", {16, 32}}, {"m.weight_scale", "U8", {16, 2}}}},
      {pack4,
       {{"m.bitmask", "U8", {16, 2}, Fill::kFixed, std::string(32, '\x0f')},
        {"m.compressed", "F8_E4M3", {128}},
        shape_of("m.shape", 16, 16),
        {"m.weight_scale", "F32", {16, 1}}}},
      {R"({"quant_method":"fp8","weight_block_size":[8,32]})",
       {{w, "F8_E4M3", {16, 64}}, {"m.weight_scale_inv", "F32", {2, 2}}}},
      {R"({"quant_method":"fbgemm_fp8"})",
       {{w, "F8_E5M2", {16, 64}}, {"m.weight_scale", "F32", {16, 1}}}},
      {R"({"quant_method":"mxfp4"})",
       {{"m_blocks", "U8", {2, 4, 2, 16}}, {"m_scales", "U8", {2, 4, 2}}}},
      {R"({"quant_method":"modelopt","quant_algo":"NVFP4"})",
       {{w, "U8", {16, 32}},
        {"m.weight_scale", "F8_E4M3", {16, 4}},
        {"m.weight_scale_2", "F32", {1}}}},
      {R"({"quant_method":"torchao"})",
       {{"m._weight_qdata", "I8", {16, 64}},
        {"m._weight_scale", "F32", {16, 2}},
        {"m._weight_zero_point", "I8", {16, 2}}},
       "Int8Tensor"},
      {R"({"quant_method":"torchao"})",
       {{"m._weight_qdata", "U8", {16, 32}},
        {"m._weight_scale", "BF16", {2, 16}},
        {"m._weight_zero_point", "BF16", {2, 16}}},
       "Int4Tensor"},
      {R"({"quant_method":"bitnet"})", {{w, "U8", {4, 64}}, {"m.weight_scale", "BF16", {1}}}},
  };
}

constexpr std::string_view kDtypes[] = {"I32", "F16",  "F32",     "U8",      "I8",
                                        "I64", "BF16", "F8_E4M3", "F8_E5M2", "F4"};
constexpr size_t kMostElements = 1 << 16;

void change(Input& input, std::vector<Part>& parts) {
  for (size_t changes = input.byte() % 4; changes > 0 && !parts.empty(); --changes) {
    const size_t index = input.byte() % parts.size();
    Part& part = parts[index];
    const uint8_t what = input.byte(), value = input.byte();
    switch (what % 6) {
      case 0:
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(index));
        break;
      case 1:
        part.dtype = kDtypes[value % std::size(kDtypes)];
        break;
      case 2:
        part.shape[value % part.shape.size()] = input.byte();
        break;
      case 3:
        part.fill = value % 2 == 0 ? Fill::kInput : Fill::kSmall;
        break;
      case 4:
        if (part.shape.size() < 4) part.shape.push_back(value % 4);
        break;
      default:
        if (part.shape.size() > 1) part.shape.pop_back();
    }
  }
}

void fill(const Input& input, const Part& part, size_t& position, std::vector<std::byte>& block) {
  const auto next = [&] {
    return input.size == 0 ? uint8_t{0} : input.data[position++ % input.size];
  };
  const size_t width = part.dtype == "I64" ? 8 : part.dtype == "I32" ? 4 : 1;
  for (size_t i = 0; i < block.size(); ++i) {
    if (part.fill == Fill::kInput) {
      block[i] = std::byte{next()};
    } else if (part.fill == Fill::kSmall) {
      block[i] = std::byte{static_cast<uint8_t>(i % width == 0 ? next() % 3 : 0)};
    } else {
      block[i] = static_cast<std::byte>(part.bytes[i % part.bytes.size()]);
    }
  }
}

// Each tensor's bytes in a heap block of their own, where AddressSanitizer sees a read past the
// end.
void add_tensors(const Input& input, const std::vector<Part>& parts, RawTensors& tensors,
                 std::vector<std::vector<std::byte>>& blocks) {
  size_t position = 0;
  for (const Part& part : parts) {
    StoredTensor tensor;
    tensor.name = part.name;
    tensor.format = tessera::safetensors::format_of_dtype(part.dtype);
    tensor.shape.assign(part.shape.rbegin(), part.shape.rend());
    if (tensor.elements() == 0 || tensor.columns() % tensor.format->block_elements != 0 ||
        tensor.elements() > kMostElements) {
      continue;  // nothing that a file may hold
    }
    blocks.emplace_back(tensor.format->row_bytes(tensor.columns()) * tensor.rows());
    fill(input, part, position, blocks.back());
    tensor.bytes = blocks.back();
    tensors.add(std::move(tensor));
  }
}

void read(const StoredTensor& tensor) {
  if (tensor.source == nullptr) return;
  if (tensor.elements() > 32 * kMostElements) std::abort();  // more than any bytes can mean
  if (!tensor.format->supported()) {  // FP8 without a scale, which loading refuses
    std::vector<std::byte> buffer;
    tensor.read(0, tensor.rows(), buffer);
    return;
  }
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

nlohmann::json config_of(std::string_view standard, const std::string& settings) {
  nlohmann::json quantization = nlohmann::json::parse(settings, nullptr, false);
  const nlohmann::json usual = nlohmann::json::parse(standard);
  if (!quantization.is_object()) {
    quantization = usual;
  } else if (const auto method = usual.find("quant_method"); method != usual.end()) {
    quantization.emplace("quant_method", *method);
  }
  return {{"quantization_config", std::move(quantization)}};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<Module> modules = make_modules();
  Input input{data, size};
  Module module = modules[input.byte() % modules.size()];
  const nlohmann::json config = config_of(module.settings, input.line());
  change(input, module.parts);
  try {
    RawTensors tensors;
    std::vector<std::vector<std::byte>> blocks;
    tensors.add_metadata({{"m.weight", R"({"_data": {"block_size": [1, 32]}, "_type": ")" +
                                           std::string(module.type) + "\"}"}});
    add_tensors(input, module.parts, tensors, blocks);
    tessera::huggingface::apply_layouts(config, nullptr, tensors);
    for (const StoredTensor& tensor : tensors.take_all()) read(tensor);
  } catch (const tessera::Error& error) {
    tessera::fuzz::require_one_line(error);
  }
  return 0;
}
