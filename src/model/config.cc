#include "model/config.h"

#include <cmath>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "model/rope.h"

namespace tessera {
namespace {

// Of any one dimension, and of a row of activations: far beyond any real model.
constexpr int64_t kMaxDimension = 1 << 24;

// Reads facts, each within bounds.
class BoundedFacts {
 public:
  explicit BoundedFacts(const Facts& facts) : facts_(facts) {}

  std::string key_of(std::string_view name) const { return facts_.key_of(name); }
  int required(std::string_view name) const { return checked(name, facts_.require_int(name)); }
  int optional(std::string_view name, int64_t otherwise) const {
    return checked(name, facts_.get_int(name).value_or(otherwise));
  }
  float real(std::string_view name, double otherwise) const {
    const double value = facts_.get_float(name).value_or(otherwise);
    if (!std::isfinite(value)) fail("key '{}': {} is not a finite number", key_of(name), value);
    return static_cast<float>(value);
  }
  // 0 where the checkpoint does not say.
  int or_none(std::string_view name) const {
    const int64_t value = facts_.get_int(name).value_or(0);
    return value == 0 ? 0 : checked(name, value);
  }
  // A number for each layer: the checkpoint has one for all, or a list of them.
  std::vector<int> by_layer(std::string_view name, int layers, std::optional<int> otherwise) const {
    if (!facts_.is_list(name)) {
      const int all = otherwise ? optional(name, *otherwise) : required(name);
      return std::vector<int>(static_cast<size_t>(layers), all);
    }
    const std::vector<int64_t> values = *facts_.get_ints(name);
    if (values.size() != static_cast<size_t>(layers)) {
      fail("key '{}': {} values for {} layers", key_of(name), values.size(), layers);
    }
    std::vector<int> result;
    for (const int64_t value : values) result.push_back(checked(name, value));
    return result;
  }

 private:
  int checked(std::string_view name, int64_t value) const {
    if (value < 1 || value > kMaxDimension)
      fail("key '{}': {} is out of range", key_of(name), value);
    return static_cast<int>(value);
  }

  const Facts& facts_;
};

void check_layer(const LayerConfig& layer) {
  if (layer.heads % layer.kv_heads != 0) {
    fail("{} query heads cannot share {} key-value heads", layer.heads, layer.kv_heads);
  }
  // Twice: gate and up share a row of activations, as queries, keys and values do.
  const int64_t qkv_columns = (layer.heads + 2 * int64_t{layer.kv_heads}) * layer.head_dim;
  if (qkv_columns > kMaxDimension || 2 * int64_t{layer.feed_forward} > kMaxDimension) {
    fail(
        "{} query and {} key-value heads of length {} with a feed-forward length of {} are too "
        "large",
        layer.heads, layer.kv_heads, layer.head_dim, layer.feed_forward);
  }
}

// Without windows and ropes.
std::vector<LayerConfig> read_layers(const BoundedFacts& facts, const Architecture& architecture,
                                     int embedding, size_t tensors) {
  const int count = facts.required("block_count");
  if (static_cast<size_t>(count) > tensors) {  // before anything is made for each of them
    fail("key '{}': {} layers, but the checkpoint holds {} tensors", facts.key_of("block_count"),
         count, tensors);
  }
  const std::vector<int> heads = facts.by_layer("attention.head_count", count, {});
  const std::vector<int> feed_forward = facts.by_layer("feed_forward_length", count, {});
  const std::vector<int> kv_heads = facts.by_layer("attention.head_count_kv", count, heads[0]);
  const int head_dim = facts.optional("attention.key_length", embedding / heads[0]);
  if (const int values = facts.optional("attention.value_length", head_dim); values != head_dim) {
    fail("keys of length {} with values of length {} are not supported", head_dim, values);
  }
  if (head_dim % 2 != 0) fail("head length {} is odd", head_dim);
  std::vector<LayerConfig> layers;
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    const float scaled_length = count <= architecture.head_dim_scale_layers
                                    ? static_cast<float>(head_dim)
                                    : static_cast<float>(embedding) / static_cast<float>(heads[i]);
    layers.push_back({.heads = heads[i],
                      .kv_heads = kv_heads[i],
                      .head_dim = head_dim,
                      .feed_forward = feed_forward[i],
                      .attention_scale = 1.0f / std::sqrt(scaled_length)});
    check_layer(layers.back());
    if (kv_heads[i] != kv_heads[0]) {
      fail("layers of {} and of {} key-value heads in one model are not supported", kv_heads[0],
           kv_heads[i]);
    }
  }
  return layers;
}

// Which layers attend to a window only, and with which rotary embedding.
void read_windows(const Checkpoint& checkpoint, const BoundedFacts& facts, Config& config) {
  const Architecture& architecture = *config.architecture;
  const int window = facts.or_none("attention.sliding_window");
  const int period = facts.optional("attention.sliding_window_pattern", architecture.window_period);
  config.ropes.push_back(read_rope(checkpoint, config));
  if (architecture.local_rope_base > 0) {
    const float base =
        read_rope_base(checkpoint.facts(), "rope.freq_base_swa", architecture.local_rope_base);
    config.ropes.push_back(
        plain_rope(config.ropes[0].dimensions, architecture.interleaved_rope, base));
  }
  if (window == 0) return;
  for (size_t i = 0; i < config.layers.size(); ++i) {
    if (period > 1 && (i + 1) % static_cast<size_t>(period) == 0) continue;
    config.layers[i].window = window;
    config.layers[i].rope = static_cast<int>(config.ropes.size()) - 1;
  }
}

}  // namespace

Config read_config(const Checkpoint& checkpoint, int context) {
  Config config;
  config.architecture =
      &find_architecture(checkpoint.facts().require_string("general.architecture"));
  const Architecture& architecture = *config.architecture;
  const BoundedFacts facts(checkpoint.facts());
  config.embedding = facts.required("embedding_length");
  config.training_context = facts.required("context_length");
  config.context = context > 0 ? context : config.training_context;
  config.layers = read_layers(facts, architecture, config.embedding, checkpoint.tensors().size());
  const uint64_t vocabulary = checkpoint.require({TensorRole::kTokenEmbedding}).rows();
  if (vocabulary > kMaxDimension) fail("a vocabulary of {} is out of range", vocabulary);
  config.vocabulary = static_cast<int>(vocabulary);
  config.norm_epsilon = facts.real("attention.layer_norm_rms_epsilon", 1e-5);
  if (config.norm_epsilon <= 0)
    fail("key '{}': must be positive", facts.key_of("attention.layer_norm_rms_epsilon"));
  if (architecture.scale_embeddings)
    config.embedding_scale = std::sqrt(static_cast<float>(config.embedding));
  config.attention_soft_cap = facts.real("attn_logit_softcapping", 0);
  config.final_soft_cap = facts.real("final_logit_softcapping", 0);
  read_windows(checkpoint, facts, config);
  return config;
}

}  // namespace tessera
