#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "model/bounded_facts.h"
#include "model/experts_config.h"
#include "model/kv_layers.h"
#include "model/recurrent_config.h"
#include "model/rope.h"

namespace tessera {
namespace {

void check_layer(const LayerConfig& layer) {
  if (2 * int64_t{layer.feed_forward} > kMaxDimension)
    fail("a feed-forward length of {} is too large", layer.feed_forward);
  if (layer.heads == 0) return;
  const int64_t latent = int64_t{layer.heads} * std::max(layer.latent.key, layer.latent.value);
  if (latent > kMaxDimension) {
    fail("{} heads with keys of {} and values of {} are too large", layer.heads, layer.latent.key,
         layer.latent.value);
  }
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

LatentConfig read_latent(const BoundedFacts& facts) {
  LatentConfig latent{.key_value = facts.or_none("attention.kv_lora_rank")};
  if (latent.key_value == 0) return latent;
  latent.query = facts.or_none("attention.q_lora_rank");
  latent.rope = facts.required("rope.dimension_count");
  latent.key = facts.required("attention.key_length_mla");
  latent.value = facts.required("attention.value_length_mla");
  if (latent.rope >= latent.key || latent.rope % 2 != 0 || latent.key_value % 2 != 0) {
    fail("key '{}': {} does not fit keys of length {} and latents of {}",
         facts.key_of("rope.dimension_count"), latent.rope, latent.key, latent.key_value);
  }
  return latent;
}

// All heads read one key and value, whatever the checkpoint says of their number. YaRN's factor on
// scores goes with the length of keys before they are absorbed (DeepSeek-V2).
LayerConfig latent_layer(const BoundedFacts& facts, const LatentConfig& latent, int heads,
                         int feed_forward) {
  const float stretch = facts.real("rope.scaling.yarn_log_multiplier", 0);
  const float magnitude =
      1 + stretch * std::log(std::max(1.0f, facts.real("rope.scaling.factor", 1)));
  return {.heads = heads,
          .kv_heads = 1,
          .head_dim = latent.key_value + latent.rope,
          .feed_forward = feed_forward,
          .latent = latent,
          .attention_scale = magnitude * magnitude / std::sqrt(static_cast<float>(latent.key))};
}

// Which layers attend to a window only: said for each, or every layer but one in so many.
std::vector<bool> read_windowed(const Facts& facts, const BoundedFacts& bounded,
                                const Architecture& architecture, size_t layers) {
  constexpr std::string_view kPattern = "attention.sliding_window_pattern";
  if (facts.is_list(kPattern)) {
    std::vector<bool> windowed = *facts.get_bools(kPattern);
    if (windowed.size() != layers)
      fail("key '{}': {} values for {} layers", facts.key_of(kPattern), windowed.size(), layers);
    return windowed;
  }
  const auto period = static_cast<size_t>(bounded.optional(kPattern, architecture.window_period));
  const size_t first = architecture.full_layers_first ? 0 : 1;
  std::vector<bool> windowed;
  for (size_t i = first; i < first + layers; ++i)
    windowed.push_back(period == 1 || i % period != 0);
  return windowed;
}

// Lengths of each layer's keys and values: in some models, windowed layers have their own.
struct HeadLengths {
  std::vector<int> keys, values;
};

HeadLengths read_head_lengths(const BoundedFacts& facts, const std::vector<bool>& windowed,
                              std::vector<int> otherwise) {
  HeadLengths lengths;
  lengths.keys = facts.by_layer("attention.key_length", std::move(otherwise));
  lengths.values = facts.by_layer("attention.value_length", lengths.keys);
  const int keys = facts.or_none("attention.key_length_swa");
  if (keys == 0) return lengths;
  const int values = facts.optional("attention.value_length_swa", keys);
  for (size_t i = 0; i < windowed.size(); ++i) {
    if (!windowed[i]) continue;
    lengths.keys[i] = keys;
    lengths.values[i] = values;
  }
  return lengths;
}

// Converters keep queries, keys and values together or apart, whatever the family.
bool is_fused(const Checkpoint& checkpoint, const Architecture& architecture, int layer) {
  if (checkpoint.find({TensorRole::kQuery, layer}) != nullptr) return false;
  return architecture.fused_qkv || checkpoint.find({TensorRole::kQueryKeyValue, layer}) != nullptr;
}

// Without windows and ropes.
std::vector<LayerConfig> read_layers(const Checkpoint& checkpoint, const BoundedFacts& facts,
                                     const Architecture& architecture, int embedding,
                                     int next_token_layers) {
  const size_t tensors = checkpoint.tensors().size();
  const int blocks = facts.required("block_count"), count = blocks - next_token_layers;
  if (static_cast<size_t>(blocks) > tensors) {  // before anything is made for each of them
    fail("key '{}': {} layers, but the checkpoint holds {} tensors", facts.key_of("block_count"),
         blocks, tensors);
  }
  if (count < 1) {
    fail("key '{}': {} of {} layers", facts.key_of("nextn_predict_layers"), next_token_layers,
         blocks);
  }
  const auto layers = static_cast<size_t>(blocks);
  const auto all = [layers](int value) { return std::vector<int>(layers, value); };
  // Layers need not attend, nor feed forward, in families where there are others.
  const int least_keys = architecture.recurrent_without_keys ? 0 : 1,
            least_others = architecture.single_parts ? 0 : 1;
  const std::vector<int> heads = facts.by_layer("attention.head_count", layers, least_others);
  const std::vector<int> feed_forward = facts.by_layer("feed_forward_length", layers, least_others);
  const int most_heads = *std::ranges::max_element(heads);
  const std::vector<int> kv_heads =
      facts.by_layer("attention.head_count_kv", all(most_heads), least_keys);
  const auto windowed =
      read_windowed(checkpoint.facts(), facts, architecture, static_cast<size_t>(count));
  const auto [head_dims, values] =
      read_head_lengths(facts, windowed, all(embedding / std::max(1, most_heads)));
  const LatentConfig latent = read_latent(facts);
  if (values != head_dims && latent.key_value == 0) {
    const auto differ = std::ranges::mismatch(head_dims, values);
    fail("keys of length {} with values of length {} are not supported", *differ.in1, *differ.in2);
  }
  ExpertsConfig experts = read_experts(facts, embedding);
  if (architecture.shared_expert && experts.shared == 0) experts.shared = experts.feed_forward;
  const DenseLayers dense = read_dense_layers(facts, experts);
  // Where a layer is a feed-forward or something else, it tells by its tensors which.
  const auto experts_of = [&](size_t i) {
    const bool has_router = !architecture.single_parts ||
                            checkpoint.find({TensorRole::kRouter, static_cast<int>(i)}) != nullptr;
    return has_router && !dense.has(i) ? experts : ExpertsConfig{};
  };
  std::vector<LayerConfig> result;
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    if (kv_heads[i] == 0 || heads[i] == 0) {
      result.push_back({.feed_forward = feed_forward[i], .experts = experts_of(i)});
      check_layer(result.back());
      continue;
    }
    if (head_dims[i] < 1)
      fail("an embedding of {} cannot be shared by {} heads", embedding, heads[i]);
    if (head_dims[i] % 2 != 0) fail("head length {} is odd", head_dims[i]);
    experts.fused_gate_up =
        checkpoint.find({TensorRole::kExpertsGateUp, static_cast<int>(i)}) != nullptr;
    if (latent.key_value > 0) {
      result.push_back(latent_layer(facts, latent, heads[i], feed_forward[i]));
      result.back().experts = experts_of(i);
      check_layer(result.back());
      continue;
    }
    const float scaled_length = count <= architecture.head_dim_scale_layers
                                    ? static_cast<float>(head_dims[i])
                                    : static_cast<float>(embedding) / static_cast<float>(heads[i]);
    const float scale = facts.positive("attention.scale", architecture.attention_scale > 0
                                                              ? architecture.attention_scale
                                                              : 1.0f / std::sqrt(scaled_length));
    result.push_back({.heads = heads[i],
                      .kv_heads = kv_heads[i],
                      .head_dim = head_dims[i],
                      .feed_forward = feed_forward[i],
                      .experts = experts_of(i),
                      .attention_scale = scale,
                      .fused_qkv = is_fused(checkpoint, architecture, static_cast<int>(i))});
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
    config_.ropes.push_back(kind.local ? local_rope(head_dim)
                                       : read_rope(checkpoint_, config_, head_dim));
    return index;
  }

 private:
  static constexpr size_t kMostKinds = 8;
  struct Kind {
    int head_dim;
    bool local;
    bool operator==(const Kind&) const = default;
  };

  Rope local_rope(int head_dim) const {
    constexpr std::string_view kOwn = "rope.dimension_count_swa";
    const Facts& facts = checkpoint_.facts();
    const int dimensions =
        rope_dimensions(facts, facts.get_int(kOwn) ? kOwn : "rope.dimension_count", head_dim);
    return plain_rope(dimensions, config_.architecture->interleaved_rope, local_base_);
  }

  const Checkpoint& checkpoint_;
  Config& config_;
  float local_base_ = 0.0f;  // 0: windowed layers are as the others
  std::vector<Kind> kinds_;  // of config_.ropes
};

bool is_rotated(const Config& config, size_t layer, bool has_windows) {
  const bool windowed = config.layers[layer].window > 0 || config.layers[layer].chunk > 0;
  switch (config.architecture->unrotated) {
    case Unrotated::kNone:
      return true;
    case Unrotated::kEveryFourth:
      return (layer + 1) % 4 != 0;
    case Unrotated::kWithoutWindow:
      return windowed;
    case Unrotated::kBesideWindows:
      return windowed || !has_windows;
    case Unrotated::kAsStored:
      return config.is_rotated;
    case Unrotated::kAll:
    case Unrotated::kNowhere:
      break;
  }
  return false;
}

// The length of chunks that windowed layers have instead of windows; 0: they have none. llama.cpp
// knows one length, whatever files say of windows; they have no word for another.
int read_chunk(const Checkpoint& checkpoint, const BoundedFacts& facts,
               const Architecture& architecture) {
  if (architecture.chunk == 0) return 0;
  constexpr std::string_view kWindow = "attention.sliding_window";
  if (checkpoint.facts().get_int(kWindow) == 0)
    fail("key '{}': 0 is not supported in models of '{}'", facts.key_of(kWindow),
         architecture.name);
  return facts.optional("attention.chunk_size", architecture.chunk);
}

// The layers' windows and rotary embeddings.
void read_windows(const Checkpoint& checkpoint, const BoundedFacts& facts, Config& config) {
  // Where texts are read ahead, both sides of a token together.
  const int window = config.architecture->has_windows ? facts.required("attention.sliding_window")
                                                      : facts.or_none("attention.sliding_window");
  const std::vector<bool> windowed =
      read_windowed(checkpoint.facts(), facts, *config.architecture, config.layers.size());
  const int chunk = read_chunk(checkpoint, facts, *config.architecture);
  for (size_t i = 0; i < config.layers.size(); ++i) {
    LayerConfig& layer = config.layers[i];
    if (!windowed[i]) continue;
    layer.chunk = chunk;
    if (window > 0 && chunk == 0) layer.window = config.bidirectional ? window / 2 + 1 : window;
  }
  Ropes ropes(checkpoint, config);
  for (size_t i = 0; i < config.layers.size(); ++i) {
    LayerConfig& layer = config.layers[i];
    if (layer.heads == 0) continue;
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
  config.logit_scale = architecture.has_logit_scale ? facts.required_positive("logit_scale")
                                                    : facts.positive("logit_scale", 1);
  if (architecture.divide_logits) config.logit_scale = 1 / config.logit_scale;
  config.attention_soft_cap = facts.real("attn_logit_softcapping", 0);
  config.final_soft_cap = facts.real("final_logit_softcapping", 0);
}

// Positions other than rotations.
void read_positions(const BoundedFacts& facts, Config& config) {
  const Architecture& family = *config.architecture;
  config.query_growth = facts.real("attention.temperature_scale", family.query_growth);
  if (config.query_growth != 0) {
    config.growth_length =
        family.growth_length > 0
            ? facts.optional("attention.temperature_length", family.growth_length)
            : facts.optional("rope.scaling.original_context_length", config.training_context);
  }
  config.is_rotated = facts.is("rope.scaling.finetuned", true);
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
  // Falcon's larger models have one for each.
  const bool has_second = checkpoint.find({TensorRole::kAttentionNorm2, 0}) != nullptr;
  if (has_second) config.shared_norm = false;
  const NormRoles first = {TensorRole::kAttentionNorm, TensorRole::kAttentionNormBias},
                  second = {TensorRole::kAttentionNorm2, TensorRole::kAttentionNorm2Bias};
  config.attention_norm = has_second ? second : first;
  config.feed_forward_norm =
      has_second || config.shared_norm
          ? first
          : NormRoles{config.architecture->feed_forward_norm, TensorRole::kFeedForwardNormBias};
  config.parallel_residual =
      has_second || config.shared_norm ||
      (residual == Residual::kParallel && facts.is("use_parallel_residual", true));
}

// A fact that a family has no part for would be left out of its answers.
void refuse_other_parts(const BoundedFacts& facts, const Architecture& architecture) {
  for (const auto& [fact, known] :
       {std::pair("attention.kv_lora_rank", architecture.latent_attention),
        std::pair("expert_count", architecture.experts),
        std::pair("attention.shared_kv_layers", architecture.shared_kv),
        std::pair("embedding_length_per_layer_input", architecture.per_layer_inputs),
        std::pair("nextn_predict_layers", architecture.next_token_layers),
        std::pair("ssm.conv_kernel", architecture.recurrent != RecurrentKind::kNone),
        std::pair("shortconv.l_cache",
                  architecture.recurrent == RecurrentKind::kShortConvolution)}) {
    if (!known && facts.or_none(fact) > 0)
      fail("key '{}': not supported in models of '{}'", facts.key_of(fact), architecture.name);
  }
  if (architecture.latent_attention && facts.real("attention.temperature_scale", 0) != 0) {
    fail("key '{}': not supported in models of '{}'", facts.key_of("attention.temperature_scale"),
         architecture.name);
  }
}

// What is of embeddings only.
void read_embedding_model(const Checkpoint& checkpoint, const BoundedFacts& facts, Config& config) {
  const Architecture& architecture = *config.architecture;
  config.bidirectional = !facts.is("attention.causal", !architecture.bidirectional);
  if (architecture.bidirectional && !config.bidirectional)
    fail("key '{}': true is not supported in models of '{}'", facts.key_of("attention.causal"),
         architecture.name);
  switch (const int64_t type = checkpoint.facts().get_int("pooling_type").value_or(1)) {
    case 0:  // none is asked for
    case 1:
      config.pooling = Pooling::kMean;
      break;
    case 2:
      config.pooling = Pooling::kCls;
      break;
    case 3:
      config.pooling = Pooling::kLast;
      break;
    default:
      fail("key '{}': {} is not supported, expected 1 (mean), 2 (cls) or 3 (last)",
           facts.key_of("pooling_type"), type);
  }
  if (!architecture.pooled_dense) return;
  for (const TensorRole role : {TensorRole::kDense2, TensorRole::kDense3}) {
    const StoredTensor* tensor = checkpoint.find({role});
    if (tensor == nullptr) break;
    if (tensor->rows() > static_cast<uint64_t>(kMaxDimension))
      fail("tensor '{}' has {} rows, which is out of range", tensor->name, tensor->rows());
    config.dense_widths.push_back(static_cast<int>(tensor->rows()));
  }
}

// The family's activation, in whatever words.
void check_activation(const Checkpoint& checkpoint, const Config& config) {
  constexpr std::string_view kFact = "hidden_activation";
  const auto found = checkpoint.facts().get_string(kFact);
  if (!found || !config.architecture->bidirectional) return;
  if (config.architecture->activation == Activation::kGeluErf && *found != "gelu")
    fail("key '{}': '{}' is not supported, expected 'gelu'", checkpoint.facts().key_of(kFact),
         printable(*found));
}

// One row of activations holds that of all layers.
void read_per_layer_input(const BoundedFacts& facts, Config& config) {
  constexpr std::string_view kLength = "embedding_length_per_layer_input";
  config.per_layer_input = facts.or_none(kLength);
  if (int64_t{config.per_layer_input} * static_cast<int64_t>(config.layers.size()) > kMaxDimension)
    fail("key '{}': {} for each of {} layers is too large", facts.key_of(kLength),
         config.per_layer_input, config.layers.size());
}

// What layers are made of is reserved for each head and each expert before their tensors are
// loaded: so there must be tensors of that size.
void check_sizes(const Checkpoint& checkpoint, const Config& config) {
  const auto expect = [&](TensorRole role, int layer, bool of_rows, int64_t size) {
    const StoredTensor& tensor = checkpoint.require({role, layer});
    if (static_cast<int64_t>(of_rows ? tensor.rows() : tensor.columns()) != size) {
      fail("tensor '{}' is {} x {}, expected {} {}", tensor.name, tensor.columns(), tensor.rows(),
           size, of_rows ? "rows" : "columns");
    }
  };
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const LayerConfig& layer = config.layers[i];
    const int number = static_cast<int>(i);
    if (layer.experts.count > 0) expect(TensorRole::kRouter, number, true, layer.experts.count);
    if (layer.recurrent.kind != RecurrentKind::kNone) {
      const bool is_short = layer.recurrent.kind == RecurrentKind::kShortConvolution;
      expect(is_short ? TensorRole::kConvolutionFilter : TensorRole::kRecurrentFilter, number, true,
             layer.recurrent.channels);
      if (!is_short) expect(TensorRole::kRecurrentOutput, number, false, layer.recurrent.values());
    }
    if (!layer.attends()) continue;
    const int value = layer.latent.key_value > 0 ? layer.latent.value : layer.head_dim;
    expect(TensorRole::kAttentionOutput, number, false, int64_t{layer.heads} * value);
  }
}

}  // namespace

Config read_config(const Checkpoint& checkpoint, int context) {
  Config config;
  config.architecture =
      &find_architecture(checkpoint.facts().require_string("general.architecture"));
  const Architecture& architecture = *config.architecture;
  const BoundedFacts facts(checkpoint.facts());
  refuse_other_parts(facts, architecture);
  config.embedding = facts.required("embedding_length");
  config.training_context = facts.required("context_length");
  config.context = context > 0 ? context : config.training_context;
  config.next_token_layers = facts.or_none("nextn_predict_layers");
  config.layers =
      read_layers(checkpoint, facts, architecture, config.embedding, config.next_token_layers);
  const auto mixture = std::ranges::find_if(
      config.layers, [](const LayerConfig& layer) { return layer.experts.count > 0; });
  if (mixture != config.layers.end())
    config.routing = read_routing(facts, architecture, mixture->experts);
  // Of Llama 4, all but the largest, which files tell by its experts alone.
  if (architecture.unit_qk_norm)
    config.unit_qk_norm = facts.is("attention.unit_qk_norm", facts.or_none("expert_count") != 128);
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
  check_activation(checkpoint, config);
  read_embedding_model(checkpoint, facts, config);
  read_scales(facts, config);
  read_positions(facts, config);
  read_residual(checkpoint, facts, config);
  read_recurrent(checkpoint.facts(), facts, config);
  read_windows(checkpoint, facts, config);
  read_kv_layers(checkpoint, facts, config);
  read_per_layer_input(facts, config);
  check_sizes(checkpoint, config);
  return config;
}

KvShape kv_shape(const Config& config, KvFormat format) {
  KvShape shape{.layers = {}, .blocks = 0, .format = format};
  for (const LayerConfig& layer : config.layers) {
    const RecurrentConfig& recurrent = layer.recurrent;
    if (layer.shares_kv) continue;
    KvLayer& kept = shape.layers.emplace_back();
    if (layer.attends()) {
      kept.heads = layer.kv_heads;
      kept.head_dim = layer.head_dim;
    }
    if (recurrent.kind == RecurrentKind::kNone) continue;
    kept.state = {.channels = recurrent.channels,
                  .taps = recurrent.taps,
                  .heads = recurrent.heads,
                  .key_dim = recurrent.key_dim,
                  .value_dim = recurrent.value_dim,
                  .key_heads = recurrent.key_heads,
                  .grouped = recurrent.grouped};
  }
  return shape;
}

}  // namespace tessera
