#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>

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
  bool is(std::string_view name, bool otherwise) const {
    return facts_.get_bool(name).value_or(otherwise);
  }
  float positive(std::string_view name, double otherwise) const {
    const float value = real(name, otherwise);
    if (value <= 0) fail("key '{}': must be positive", key_of(name));
    return value;
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
  std::vector<int> by_layer(std::string_view name, size_t layers) const {
    if (!facts_.is_list(name)) return std::vector<int>(layers, required(name));
    const std::vector<int64_t> values = *facts_.get_ints(name);
    if (values.size() != layers) {
      fail("key '{}': {} values for {} layers", key_of(name), values.size(), layers);
    }
    std::vector<int> result;
    for (const int64_t value : values) result.push_back(checked(name, value));
    return result;
  }
  std::vector<int> by_layer(std::string_view name, std::vector<int> otherwise) const {
    const bool said = facts_.is_list(name) || facts_.get_int(name);
    return said ? by_layer(name, otherwise.size()) : otherwise;
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
  const auto layers = static_cast<size_t>(count);
  const auto all = [layers](int value) { return std::vector<int>(layers, value); };
  const std::vector<int> heads = facts.by_layer("attention.head_count", layers);
  const std::vector<int> feed_forward = facts.by_layer("feed_forward_length", layers);
  const std::vector<int> kv_heads = facts.by_layer("attention.head_count_kv", all(heads[0]));
  const std::vector<int> head_dims =
      facts.by_layer("attention.key_length", all(embedding / heads[0]));
  if (const auto values = facts.by_layer("attention.value_length", head_dims);
      values != head_dims) {
    const auto differ = std::ranges::mismatch(head_dims, values);
    fail("keys of length {} with values of length {} are not supported", *differ.in1, *differ.in2);
  }
  std::vector<LayerConfig> result;
  for (size_t i = 0; i < layers; ++i) {
    if (head_dims[i] % 2 != 0) fail("head length {} is odd", head_dims[i]);
    const float scaled_length = count <= architecture.head_dim_scale_layers
                                    ? static_cast<float>(head_dims[i])
                                    : static_cast<float>(embedding) / static_cast<float>(heads[i]);
    const float scale = facts.positive("attention.scale", 1.0f / std::sqrt(scaled_length));
    result.push_back({.heads = heads[i],
                      .kv_heads = kv_heads[i],
                      .head_dim = head_dims[i],
                      .feed_forward = feed_forward[i],
                      .attention_scale = scale});
    check_layer(result.back());
  }
  return result;
}

// The rotary embeddings of layers by their heads' length, each made once.
class Ropes {
 public:
  Ropes(const Checkpoint& checkpoint, Config& config) : checkpoint_(checkpoint), config_(config) {
    const float base = config.architecture->local_rope_base;
    if (base == 0) return;
    local_base_ = read_rope_base(
        checkpoint.facts(), "rope.freq_base_swa",
        base > 0 ? base : read_rope_base(checkpoint.facts(), "rope.freq_base", kRopeBase));
  }

  // Its index in Config::ropes. The embedding of windowed layers, in families that have one of
  // their own for them, is the plain one.
  int find(int head_dim, bool windowed) {
    const Kind kind{head_dim, windowed && local_base_ > 0};
    const auto known = std::ranges::find(kinds_, kind);
    const auto index = static_cast<int>(known - kinds_.begin());
    if (known != kinds_.end()) return index;
    if (kinds_.size() == kMostKinds) {  // each takes memory before any tensor is looked for
      fail("heads of more than {} lengths in one model are not supported", kMostKinds);
    }
    kinds_.push_back(kind);
    Rope rope = read_rope(checkpoint_, config_, head_dim);
    if (kind.local) rope = plain_rope(rope.dimensions, rope.interleaved, local_base_);
    config_.ropes.push_back(std::move(rope));
    return index;
  }

 private:
  static constexpr size_t kMostKinds = 8;
  struct Kind {
    int head_dim;
    bool local;
    bool operator==(const Kind&) const = default;
  };

  const Checkpoint& checkpoint_;
  Config& config_;
  float local_base_ = 0.0f;  // 0: windowed layers are as the others
  std::vector<Kind> kinds_;  // of config_.ropes
};

// Which layers attend to a window only: said for each, or every layer but one in so many.
std::vector<bool> read_windowed(const Facts& facts, const BoundedFacts& bounded,
                                const Config& config) {
  constexpr std::string_view kPattern = "attention.sliding_window_pattern";
  const size_t layers = config.layers.size();
  if (facts.is_list(kPattern)) {
    std::vector<bool> windowed = *facts.get_bools(kPattern);
    if (windowed.size() != layers)
      fail("key '{}': {} values for {} layers", facts.key_of(kPattern), windowed.size(), layers);
    return windowed;
  }
  const auto period =
      static_cast<size_t>(bounded.optional(kPattern, config.architecture->window_period));
  std::vector<bool> windowed;
  for (size_t i = 1; i <= layers; ++i) windowed.push_back(period == 1 || i % period != 0);
  return windowed;
}

bool is_rotated(const Config& config, size_t layer, bool has_windows) {
  const bool windowed = config.layers[layer].window > 0;
  switch (config.architecture->unrotated) {
    case Unrotated::kNone:
      return true;
    case Unrotated::kEveryFourth:
      return (layer + 1) % 4 != 0;
    case Unrotated::kWithoutWindow:
      return windowed;
    case Unrotated::kBesideWindows:
      return windowed || !has_windows;
    case Unrotated::kAll:
      break;
  }
  return false;
}

// The layers' windows and rotary embeddings.
void read_windows(const Checkpoint& checkpoint, const BoundedFacts& facts, Config& config) {
  const int window = facts.or_none("attention.sliding_window");
  const std::vector<bool> windowed = read_windowed(checkpoint.facts(), facts, config);
  for (size_t i = 0; i < config.layers.size(); ++i)
    if (windowed[i]) config.layers[i].window = window;
  Ropes ropes(checkpoint, config);
  for (size_t i = 0; i < config.layers.size(); ++i) {
    LayerConfig& layer = config.layers[i];
    layer.rope = is_rotated(config, i, window > 0) ? ropes.find(layer.head_dim, layer.window > 0)
                                                   : LayerConfig::kUnrotated;
  }
}

void read_scales(const BoundedFacts& facts, Config& config) {
  const Architecture& architecture = *config.architecture;
  const double embedding =
      architecture.scale_embeddings ? std::sqrt(static_cast<float>(config.embedding)) : 1.0;
  config.embedding_scale = facts.positive("embedding_scale", embedding);
  config.residual_scale = facts.positive("residual_scale", 1);
  config.logit_scale = facts.positive("logit_scale", 1);
  if (architecture.divide_logits) config.logit_scale = 1 / config.logit_scale;
  config.attention_soft_cap = facts.real("attn_logit_softcapping", 0);
  config.final_soft_cap = facts.real("final_logit_softcapping", 0);
}

// Positions other than rotations.
void read_positions(const BoundedFacts& facts, Config& config) {
  config.query_growth = facts.real("attention.temperature_scale", 0);
  if (config.query_growth != 0)
    config.growth_length =
        facts.optional("rope.scaling.original_context_length", config.training_context);
  if (config.architecture->unrotated != Unrotated::kAll) return;
  config.max_slope_exponent =
      facts.real("attention.max_alibi_bias", config.architecture->max_slope_exponent);
  if (config.max_slope_exponent < 0)
    fail("key '{}': must not be negative", facts.key_of("attention.max_alibi_bias"));
  if (config.max_slope_exponent > 0) return;
  config.learned_positions = config.training_context;
  if (config.context > config.learned_positions)
    fail("a context of {} is longer than the {} positions that the model has learned",
         config.context, config.learned_positions);
}

void read_residual(const Checkpoint& checkpoint, const BoundedFacts& facts, Config& config) {
  const Residual residual = config.architecture->residual;
  const bool has_norm = checkpoint.find({TensorRole::kFeedForwardNorm, 0}) != nullptr;
  config.shared_norm =
      residual == Residual::kSharedNorm || (residual == Residual::kAsStored && !has_norm);
  config.parallel_residual = config.shared_norm || (residual == Residual::kParallel &&
                                                    facts.is("use_parallel_residual", true));
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
  config.norm_epsilon =
      facts.positive(architecture.norm == NormKind::kRmsNorm ? "attention.layer_norm_rms_epsilon"
                                                             : "attention.layer_norm_epsilon",
                     1e-5);
  if (facts.real("attention.clamp_kqv", 0) > 0)
    fail("key '{}': bounds of queries, keys and values are not supported",
         facts.key_of("attention.clamp_kqv"));
  read_scales(facts, config);
  read_positions(facts, config);
  read_residual(checkpoint, facts, config);
  read_windows(checkpoint, facts, config);
  return config;
}

KvShape kv_shape(const Config& config, KvFormat format) {
  KvShape shape{.layers = {}, .blocks = 0, .format = format};
  for (const LayerConfig& layer : config.layers) {
    shape.layers.push_back({.heads = layer.kv_heads, .head_dim = layer.head_dim});
  }
  return shape;
}

}  // namespace tessera
