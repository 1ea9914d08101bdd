#include "files/huggingface/llama4_layers.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/row_sources.h"

namespace tessera::huggingface {
namespace {

using nlohmann::json;

// Every fourth layer attends to everything.
constexpr int64_t kLlama4Period = 4;
constexpr int64_t kMostLlama4Layers = 1 << 16;

class Llama4Translation {
 public:
  explicit Llama4Translation(const ConfigReader& from) : from_(from) {}

  std::vector<Llama4Fact> run() {
    copy("feed_forward_length", "intermediate_size_mlp");
    copy("expert_feed_forward_length", "intermediate_size");
    copy("attention.chunk_size", "attention_chunk_size");
    check_layer_types();
    read_mixtures();
    if (const auto norm = from_.boolean("use_qk_norm"))
      set("attention.unit_qk_norm", "use_qk_norm", *norm);
    read_growth();
    return std::move(facts_);
  }

 private:
  void set(std::string_view fact, std::string_view key, GgufValue::Variant value) {
    facts_.push_back({std::string(fact), std::string(key), {std::move(value)}});
  }
  void copy(std::string_view fact, std::string_view key) {
    if (const auto value = from_.integer(key)) set(fact, key, static_cast<uint32_t>(*value));
  }

  void check_layer_types() const {
    constexpr std::string_view kKey = "layer_types";
    const json* types = from_.find(kKey);
    if (types == nullptr) return;
    if (!types->is_array()) fail("key '{}': expected a list", kKey);
    int64_t number = 0;
    for (const json& type : *types) {
      const bool is_full = ++number % kLlama4Period == 0;
      if (type != (is_full ? "full_attention" : "chunked_attention"))
        fail("key '{}': {} of layer {} is not supported", kKey,
             printable(type.dump(-1, ' ', true), 60), number - 1);
    }
  }

  // A list of the layers that are one, or every n-th.
  void read_mixtures() {
    constexpr std::string_view kStep = "interleave_moe_layer_step", kList = "moe_layers";
    const int64_t step = from_.integer(kStep).value_or(1);
    if (step < 1) fail("key '{}': {} is out of range", kStep, step);
    set("interleave_moe_layer_step", kStep, static_cast<uint32_t>(step));
    const json* list = from_.find(kList);
    if (list == nullptr) return;
    const int64_t layers = from_.integer("num_hidden_layers").value_or(0);
    if (!list->is_array() || layers > kMostLlama4Layers) fail("key '{}': expected a list", kList);
    json usual = json::array();
    for (int64_t layer = step - 1; layer < layers; layer += step) usual.push_back(layer);
    if (*list != usual) fail("key '{}': other than every {}. layer is not supported", kList, step);
  }

  void read_growth() {
    const json* tuned = from_.find("attn_temperature_tuning");
    const bool is_off = tuned != nullptr && (*tuned == false || *tuned == 0);
    const double growth = is_off ? 0.0 : from_.number("attn_scale").value_or(0.1);
    set("attention.temperature_scale", is_off ? "attn_temperature_tuning" : "attn_scale",
        static_cast<float>(growth));
    const auto length = from_.number("floor_scale");
    if (length && !(*length >= 1 && *length <= UINT32_MAX))
      fail("key 'floor_scale': {} is out of range", *length);
    if (length) set("attention.temperature_length", "floor_scale", static_cast<uint32_t>(*length));
  }

  const ConfigReader& from_;
  std::vector<Llama4Fact> facts_;
};

}  // namespace

std::vector<Llama4Fact> read_llama4_layers(const ConfigReader& from) {
  return Llama4Translation(from).run();
}

std::vector<StoredTensor> split_llama4_experts(std::vector<StoredTensor> tensors) {
  constexpr std::string_view kBoth = ".experts.gate_up_proj", kDown = ".experts.down_proj";
  std::vector<StoredTensor> result;
  for (StoredTensor& tensor : tensors) {
    const bool is_both = tensor.name.ends_with(kBoth);
    if (!is_both && !tensor.name.ends_with(kDown)) {
      result.push_back(std::move(tensor));
      continue;
    }
    if (tensor.shape.size() != 3 || (is_both && tensor.shape[0] % 2 != 0)) {
      fail("tensor '{}' is {} x {} with {} axes, expected 3, and as many gates as ups",
           printable(tensor.name), tensor.columns(), tensor.rows(), tensor.shape.size());
    }
    const std::string stem = tensor.name.substr(0, tensor.name.rfind('.') + 1);
    const uint64_t width = tensor.shape[0], columns = tensor.shape[1], experts = tensor.shape[2];
    const uint64_t parts = is_both ? 2 : 1, rows = width / parts;
    for (uint64_t part = 0; part < parts; ++part) {
      const std::string_view name = !is_both ? "down_proj" : part == 0 ? "gate_proj" : "up_proj";
      result.push_back(stepped_rows(
          tensor, stem + std::string(name) + ".weight", {columns, rows, experts},
          {.first = part * rows, .expert = width * columns, .row = 1, .column = width}));
    }
  }
  return result;
}

}  // namespace tessera::huggingface
