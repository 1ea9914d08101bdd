#include "files/huggingface/gemma4_layers.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

namespace tessera::huggingface {
namespace {

using nlohmann::json;

// Where config.json is silent.
constexpr int64_t kGlobalHeadDim = 512, kPerLayerInput = 256, kPeriod = 6;
constexpr double kRopeBase = 1e6, kWindowedRopeBase = 1e4, kRotatedPart = 0.25;
// As good as no rotation at any position.
constexpr float kUnrotated = 1e30f;
constexpr int64_t kMostLayers = 1 << 16, kMostDimensions = 1 << 16;

class Translation {
 public:
  explicit Translation(const ConfigReader& from)
      : from_(from), layers_(require("num_hidden_layers", kMostLayers)) {}

  Gemma4Layers run() {
    read_windows();
    read_heads();
    read_shared_layers();
    read_ropes();
    if (from_.boolean("enable_moe_block") == true) read_experts();
    return std::move(result_);
  }

 private:
  void set(std::string_view fact, std::string_view key, GgufValue::Variant value) {
    result_.facts.push_back({std::string(fact), std::string(key), {std::move(value)}});
  }
  void set_number(std::string_view fact, std::string_view key, int64_t value) {
    set(fact, key, static_cast<uint32_t>(value));
  }
  int64_t require(std::string_view key, int64_t most) const {
    const auto value = from_.integer(key);
    if (!value) fail("key '{}' is missing (expected a whole number)", key);
    if (*value < 1 || *value > most) fail("key '{}': {} is out of range", key, *value);
    return *value;
  }

  // The last layer has none, whatever the list says.
  void read_windows() {
    constexpr std::string_view kKey = "layer_types";
    if (const json* types = from_.find(kKey)) {
      if (!types->is_array()) fail("key '{}': expected a list", kKey);
      for (const json& type : *types) {
        if (type != "full_attention" && type != "sliding_attention")
          fail("key '{}': {} is not supported", kKey, printable(type.dump(-1, ' ', true), 60));
        windowed_.push_back(type == "sliding_attention");
      }
      if (static_cast<int64_t>(windowed_.size()) != layers_)
        fail("key '{}': {} types for {} layers", kKey, windowed_.size(), layers_);
    } else {
      for (int64_t i = 1; i <= layers_; ++i) windowed_.push_back(i % kPeriod != 0);
    }
    windowed_.back() = false;
    set("attention.sliding_window_pattern", kKey, GgufValue::Array(windowed_));
    set_number("attention.sliding_window", "sliding_window",
               from_.integer("sliding_window").value_or(512));
  }

  // Newer folders list layers that differ, by their number.
  std::optional<int64_t> of_unwindowed(std::string_view key) const {
    const json* by_layer = from_.object("per_layer_config");
    if (by_layer == nullptr) return std::nullopt;
    std::optional<int64_t> found;
    for (const auto& [number, layer] : by_layer->items()) {
      size_t index = 0;
      const auto [end, error] =
          std::from_chars(number.data(), number.data() + number.size(), index);
      if (error != std::errc() || end != number.data() + number.size() ||
          index >= windowed_.size() || !layer.is_object())
        fail("key 'per_layer_config': '{}' is no layer's", printable(number));
      const auto value = ConfigReader(layer).integer(key);
      if (!value) continue;
      if (windowed_[index] || (found && *found != *value))
        fail("key 'per_layer_config': layers of one kind that differ in '{}' are not supported",
             key);
      found = value;
    }
    return found;
  }

  void read_heads() {
    head_dim_ = from_.integer("head_dim").value_or(256);
    global_head_dim_ = of_unwindowed("head_dim")
                           .value_or(from_.integer("global_head_dim")
                                         .value_or(has_per_layer() ? head_dim_ : kGlobalHeadDim));
    for (const auto& [key, length] :
         {std::pair("head_dim", head_dim_), std::pair("global_head_dim", global_head_dim_)}) {
      if (length < 2 || length > kMostDimensions) fail("key '{}': {} is out of range", key, length);
    }
    for (const char* fact : {"attention.key_length", "attention.value_length"}) {
      set_number(fact, "global_head_dim", global_head_dim_);
      set_number(std::string(fact) + "_swa", "head_dim", head_dim_);
    }
    const int64_t heads = from_.integer("num_key_value_heads").value_or(4);
    std::optional<int64_t> global = of_unwindowed("num_key_value_heads");
    if (!global && from_.boolean("attention_k_eq_v") == true)
      global = from_.integer("num_global_key_value_heads");
    if (!global || *global == heads)
      return set_number("attention.head_count_kv", "num_key_value_heads", heads);
    set_by_layer("attention.head_count_kv", "num_global_key_value_heads",
                 [&](size_t i) { return windowed_[i] ? heads : *global; });
  }
  bool has_per_layer() const { return from_.find("per_layer_config") != nullptr; }

  template <typename Value>
  void set_by_layer(std::string_view fact, std::string_view key, Value value) {
    std::vector<uint32_t> values;
    for (size_t i = 0; i < windowed_.size(); ++i) values.push_back(static_cast<uint32_t>(value(i)));
    set(fact, key, GgufValue::Array(values));
  }

  void read_shared_layers() {
    const int64_t shared = from_.integer("num_kv_shared_layers").value_or(0);
    set_number("attention.shared_kv_layers", "num_kv_shared_layers", shared);
    const json* per_layer = from_.find("hidden_size_per_layer_input");
    const bool is_null = per_layer == nullptr && from_.has("hidden_size_per_layer_input");
    set_number("embedding_length_per_layer_input", "hidden_size_per_layer_input",
               is_null ? 0 : from_.integer("hidden_size_per_layer_input").value_or(kPerLayerInput));
    if (shared == 0 || from_.boolean("use_double_wide_mlp") != true) return;
    const int64_t width = require("intermediate_size", INT32_MAX);
    set_by_layer("feed_forward_length", "intermediate_size", [&](size_t i) {
      return static_cast<int64_t>(i) < layers_ - shared ? width : 2 * width;
    });
  }

  void read_ropes() {
    const json* all = from_.object("rope_parameters");
    static const json kNone = json::object();
    const auto of = [&](std::string_view kind) {
      const json* one = all == nullptr ? nullptr : ConfigReader(*all).object(kind);
      return ConfigReader(one == nullptr ? kNone : *one);
    };
    const ConfigReader windowed = of("sliding_attention"), full = of("full_attention");
    expect_type(windowed, "default");
    expect_type(full, "proportional");
    set("rope.freq_base", "rope_theta",
        static_cast<float>(full.number("rope_theta").value_or(kRopeBase)));
    set("rope.freq_base_swa", "rope_theta",
        static_cast<float>(windowed.number("rope_theta").value_or(kWindowedRopeBase)));
    set_number("rope.dimension_count", "global_head_dim", global_head_dim_);
    set_number("rope.dimension_count_swa", "head_dim", head_dim_);
    // Frequencies are those of whole heads; the last of them turn nothing.
    const double part = full.number("partial_rotary_factor").value_or(kRotatedPart);
    const double factor = full.number("factor").value_or(1.0);
    if (!(part > 0 && part <= 1)) fail("key 'partial_rotary_factor': {} is not in (0, 1]", part);
    if (!(factor > 0)) fail("key 'factor': {} is not positive", factor);
    const auto pairs = static_cast<size_t>(global_head_dim_ / 2);
    const auto turning = static_cast<size_t>(part * static_cast<double>(global_head_dim_) / 2);
    result_.rope_factors.assign(pairs, kUnrotated);
    std::fill_n(result_.rope_factors.begin(), std::min(pairs, turning), static_cast<float>(factor));
  }
  static void expect_type(const ConfigReader& rope, std::string_view expected) {
    const auto type = rope.text("rope_type");
    if (type && *type != expected)
      fail("key 'rope_type': '{}' is not supported, expected '{}'", printable(*type), expected);
  }

  void read_experts() {
    set_number("expert_count", "num_experts", require("num_experts", INT32_MAX));
    set_number("expert_used_count", "top_k_experts", require("top_k_experts", INT32_MAX));
    set_number("expert_feed_forward_length", "moe_intermediate_size",
               require("moe_intermediate_size", INT32_MAX));
  }

  const ConfigReader& from_;
  const int64_t layers_;
  int64_t head_dim_ = 0, global_head_dim_ = 0;  // of layers with a window, and of the others
  std::vector<bool> windowed_;                  // by layer
  Gemma4Layers result_;
};

}  // namespace

Gemma4Layers read_gemma4_layers(const ConfigReader& from) {
  return Translation(from).run();
}

}  // namespace tessera::huggingface
