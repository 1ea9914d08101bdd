#include "model/kv_layers.h"

#include <algorithm>
#include <span>

#include "base/error.h"

namespace tessera {
namespace {

bool has_values(const Checkpoint& checkpoint, size_t layer) {
  return checkpoint.find({TensorRole::kValue, static_cast<int>(layer)}) != nullptr;
}

// The last of `layers` that attends to as much as `layer` does.
const LayerConfig& find_source(std::span<const LayerConfig> layers, const LayerConfig& layer,
                               size_t number) {
  const auto alike = [&](const LayerConfig& other) { return other.window == layer.window; };
  const auto found = std::find_if(layers.rbegin(), layers.rend(), alike);
  if (found == layers.rend())
    fail("layer {} shares keys and values, but no layer before it has any for its window", number);
  if (found->kv_heads != layer.kv_heads || found->head_dim != layer.head_dim) {
    fail("layer {} has {} key-value heads of length {}, but shares {} of length {}", number,
         layer.kv_heads, layer.head_dim, found->kv_heads, found->head_dim);
  }
  return *found;
}

}  // namespace

void read_kv_layers(const Checkpoint& checkpoint, const BoundedFacts& facts, Config& config) {
  constexpr std::string_view kShared = "attention.shared_kv_layers";
  const size_t layers = config.layers.size();
  const auto shared = static_cast<size_t>(facts.or_none(kShared));
  if (shared >= layers) fail("key '{}': {} of {} layers", facts.key_of(kShared), shared, layers);
  const auto own = std::span(config.layers).first(layers - shared);
  // In families that normalize values, layers without a window may have no matrix for them: all of
  // these, or one is missing.
  bool lack_values = config.architecture->value_norm;
  for (size_t i = 0; i < own.size(); ++i)
    lack_values = lack_values && (own[i].window > 0 || !has_values(checkpoint, i));
  for (size_t i = 0; i < layers; ++i) {
    LayerConfig& layer = config.layers[i];
    if (i < own.size()) {
      layer.kv_layer = static_cast<int>(i);
      layer.keys_as_values = lack_values && layer.window == 0;
    } else {
      layer.kv_layer = find_source(own, layer, i).kv_layer;
      layer.shares_kv = true;
    }
  }
}

}  // namespace tessera
