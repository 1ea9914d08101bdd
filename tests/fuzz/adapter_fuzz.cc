// PEFT adapters: a line of JSON as adapter_config.json, and tensors of which some are missing, have
// another name, dtype or shape: an adapter that fits its model, or one line of Error.
//
//   a line of JSON: the configuration, if it is an object | changes: tensor, what, new value
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "checkpoint/stored_adapter.h"
#include "files/gguf/facts.h"
#include "files/huggingface/families.h"
#include "files/huggingface/peft.h"
#include "files/huggingface/tensor_names.h"
#include "files/safetensors/dtypes.h"
#include "fuzz/input.h"

namespace {

using namespace tessera;
using fuzz::Input;

constexpr uint64_t kWidth = 32, kHidden = 64;
constexpr size_t kMostElements = 1 << 14;

// Llama with one layer, which has heads in pairs.
class Model final : public Checkpoint {
 public:
  Model() : facts_(metadata()), zeros_(kMostElements * sizeof(float)) {
    using enum TensorRole;
    for (const auto& [role, columns, rows] :
         {std::tuple(kQuery, kWidth, kWidth), std::tuple(kKey, kWidth, kWidth / 2),
          std::tuple(kDown, kHidden, kWidth), std::tuple(kAttentionNorm, kWidth, uint64_t{0}),
          std::tuple(kOutput, kWidth, kHidden)}) {
      StoredTensor tensor;
      tensor.name = tensor_name({role, role == kOutput ? kNoLayer : 0});
      tensor.format = &kF32;
      tensor.shape = rows == 0 ? std::vector<uint64_t>{columns} : std::vector{columns, rows};
      tensor.bytes = std::span(zeros_).first(tensor.elements() * sizeof(float));
      add_tensor(std::move(tensor));
    }
  }
  const Facts& facts() const override { return facts_; }
  TokenizerData read_tokenizer() const override { return {}; }
  ChatTemplates read_chat_templates() const override { return {}; }

 private:
  static GgufMetadata metadata() {
    GgufMetadata metadata;
    metadata.set("general.architecture", {std::string("llama")});
    metadata.set("llama.attention.head_count", {uint32_t{4}});
    metadata.set("llama.attention.head_count_kv", {uint32_t{2}});
    return metadata;
  }
  std::string tensor_name(TensorPlace place) const override {
    return huggingface::tensor_name(huggingface::find_family("llama"), place);
  }
  TensorPlace tensor_place(std::string_view name) const override {
    return huggingface::tensor_place(huggingface::find_family("llama"), name);
  }

  const GgufFacts facts_;
  const std::vector<std::byte> zeros_;
};

struct Part {
  std::string name, dtype;
  std::vector<uint64_t> shape;  // columns first
};

std::vector<Part> usual_parts() {
  const std::string layer = "base_model.model.model.layers.0.", head = "base_model.model.lm_head.";
  return {{layer + "self_attn.q_proj.lora_A.weight", "F32", {kWidth, 4}},
          {layer + "self_attn.q_proj.lora_B.weight", "F32", {4, kWidth}},
          {layer + "self_attn.k_proj.lora_A.default.weight", "F16", {kWidth, 4}},
          {layer + "self_attn.k_proj.lora_B.default.weight", "F16", {4, kWidth / 2}},
          {layer + "mlp.down_proj.lora_A.weight", "BF16", {kHidden, 4}},
          {layer + "mlp.down_proj.lora_B.weight", "BF16", {4, kWidth}},
          {head + "base_layer.weight", "F32", {kWidth, kHidden}},
          {head + "lora_A.weight", "F32", {kWidth, 4}},
          {head + "lora_B.weight", "F32", {4, kHidden}}};
}

constexpr std::string_view kDtypes[] = {"F32", "F16", "BF16", "I32", "U8", "F8_E4M3", "I64"};
constexpr std::string_view kNames[] = {"lora_A",
                                       "lora_B",
                                       "lora_embedding_A",
                                       "lora_magnitude_vector",
                                       "input_layernorm",
                                       "base_model.model.",
                                       "layers.99999999999",
                                       ".weight",
                                       ".bias",
                                       ".base_layer"};

void change(Input& input, std::vector<Part>& parts) {
  for (size_t changes = input.byte() % 6; changes > 0 && !parts.empty(); --changes) {
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
        value % 2 == 0 ? part.shape.push_back(1) : part.shape.pop_back();
        if (part.shape.empty()) part.shape = {1};
        break;
      case 4:
        part.name = parts[value % parts.size()].name;
        break;
      default:
        part.name.insert(value % (part.name.size() + 1), kNames[input.byte() % std::size(kNames)]);
    }
  }
}

std::vector<StoredTensor> tensors_of(const std::vector<Part>& parts,
                                     const std::vector<std::byte>& bytes) {
  std::vector<StoredTensor> tensors;
  for (const Part& part : parts) {
    StoredTensor tensor;
    tensor.name = part.name;
    tensor.format = safetensors::format_of_dtype(part.dtype);
    tensor.shape = part.shape;
    if (tensor.elements() == 0 || tensor.elements() > kMostElements) continue;
    tensor.bytes =
        std::span(bytes).first(tensor.format->row_bytes(tensor.columns()) * tensor.rows());
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Model model;
  static const std::vector<std::byte> zeros(kMostElements * sizeof(int64_t));
  Input input{data, size};
  nlohmann::json config = nlohmann::json::parse(input.line(), nullptr, false);
  const nlohmann::json usual = {{"peft_type", "LORA"}, {"r", 4}, {"lora_alpha", 8}};
  if (!config.is_object()) config = usual;
  for (const auto& [key, value] : usual.items()) config.emplace(key, value);
  std::vector<Part> parts = usual_parts();
  change(input, parts);
  try {
    StoredAdapter adapter;
    adapter.matrices =
        huggingface::read_peft(huggingface::PeftConfig(config), tensors_of(parts, zeros), model);
    check_fits(adapter, model);
    for (const StoredLowRank& one : adapter.matrices) {
      for (const StoredTensor& tensor : {one.down, one.up}) {
        std::vector<float> values(tensor.elements());
        tensor.decode(0, tensor.rows(), values);
      }
    }
  } catch (const Error& error) {
    tessera::fuzz::require_one_line(error);
  }
  return 0;
}
