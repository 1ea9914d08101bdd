#include "files/huggingface/layer_kinds.h"

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/printable.h"

namespace tessera::huggingface {
namespace {

using nlohmann::json;

LayerKind layer_kind(std::string_view key, std::string_view name) {
  for (const std::string_view known : {"full_attention", "attention", "*"})
    if (name == known) return LayerKind::kAttention;
  for (const std::string_view known : {"linear_attention", "mamba", "conv", "M"})
    if (name == known) return LayerKind::kRecurrent;
  for (const std::string_view known : {"mlp", "-"})
    if (name == known) return LayerKind::kFeedForward;
  for (const std::string_view known : {"moe", "E"})
    if (name == known) return LayerKind::kExperts;
  fail("key '{}': '{}' is not supported", key, printable(name));
}

std::vector<LayerKind> read_list(std::string_view key, const json& types) {
  if (!types.is_array()) fail("key '{}': expected a list", key);
  std::vector<LayerKind> kinds;
  for (const json& type : types)
    kinds.push_back(layer_kind(key, type.is_string() ? type.get<std::string>() : type.dump()));
  return kinds;
}

// All layers are recurrent but for these.
std::vector<LayerKind> kinds_around(std::span<const float> attending, int64_t layers) {
  if (layers < 1 || layers > 65536)
    fail("key 'num_hidden_layers': {} is not from 1 to 65536", layers);
  std::vector<LayerKind> kinds(static_cast<size_t>(layers), LayerKind::kRecurrent);
  for (const float index : attending) {
    if (!(index >= 0 && index < static_cast<float>(layers)))
      fail("key 'full_attn_idxs': there is no layer {}", index);
    kinds[static_cast<size_t>(index)] = LayerKind::kAttention;
  }
  return kinds;
}

}  // namespace

std::vector<LayerKind> read_layer_kinds(const ConfigReader& config) {
  for (const std::string_view key : {"layer_types", "layers_block_type"})
    if (const json* types = config.find(key)) return read_list(key, *types);
  std::vector<LayerKind> kinds;
  if (const auto pattern = config.text("hybrid_override_pattern")) {
    for (const char letter : *pattern)
      kinds.push_back(layer_kind("hybrid_override_pattern", std::string(1, letter)));
  } else if (const auto attending = config.numbers("full_attn_idxs")) {
    kinds = kinds_around(*attending, config.integer("num_hidden_layers").value_or(0));
  }
  return kinds;
}

std::optional<uint32_t> adjusted_feed_forward(const ConfigReader& config) {
  const auto given = config.integer("intermediate_size");
  if (!given || config.boolean("block_auto_adjust_ff_dim") != true) return std::nullopt;
  const int64_t multiple = std::max<int64_t>(1, config.integer("block_multiple_of").value_or(1));
  const double factor = config.number("block_ffn_dim_multiplier").value_or(1);
  const double scaled = factor * static_cast<double>(2 * *given / 3);
  if (!(scaled >= 1 && scaled < 1e9) || multiple > 65536)
    fail("key 'intermediate_size': {} is out of range", *given);
  return static_cast<uint32_t>((static_cast<int64_t>(scaled) + multiple - 1) / multiple * multiple);
}

void check_step_limits(const ConfigReader& config) {
  const json* limits = config.find("time_step_limit");
  if (limits == nullptr) return;
  const bool is_open =
      limits->is_array() && limits->size() == 2 && (*limits)[0] == 0 && !(*limits)[1].is_number();
  if (!is_open) fail("key 'time_step_limit': bounds of steps are not supported");
}

}  // namespace tessera::huggingface
