#include "model/config.h"

#include <cmath>

#include "base/error.h"
#include "model/rope.h"

namespace tessera {
namespace {

// Of any one dimension, and of a row of activations: far beyond any real model.
constexpr int64_t kMaxDimension = 1 << 24;

}  // namespace

Config read_config(const GgufFile& file, int context) {
  const GgufMetadata& metadata = file.metadata();
  Config config;
  config.architecture = &find_architecture(metadata.require_string("general.architecture"));
  const Architecture& architecture = *config.architecture;

  const auto key = [&](std::string_view name) {
    return fmt::format("{}.{}", architecture.name, name);
  };
  const auto checked = [&](std::string_view name, int64_t value) {
    if (value < 1 || value > kMaxDimension) fail("key '{}': {} is out of range", key(name), value);
    return static_cast<int>(value);
  };
  const auto required = [&](std::string_view name) {
    return checked(name, metadata.require_int(key(name)));
  };
  const auto optional = [&](std::string_view name, int64_t fallback) {
    return checked(name, metadata.get_int(key(name)).value_or(fallback));
  };
  const auto real = [&](std::string_view name, double fallback) {
    const double value = metadata.get_float(key(name)).value_or(fallback);
    if (!std::isfinite(value)) fail("key '{}': {} is not a finite number", key(name), value);
    return static_cast<float>(value);
  };

  config.embedding = required("embedding_length");
  config.layers = required("block_count");
  config.heads = required("attention.head_count");
  config.kv_heads = optional("attention.head_count_kv", config.heads);
  config.feed_forward = required("feed_forward_length");
  config.training_context = required("context_length");
  config.context = context > 0 ? context : config.training_context;
  config.head_dim = optional("attention.key_length", config.embedding / config.heads);
  if (const int value_length = optional("attention.value_length", config.head_dim);
      value_length != config.head_dim) {
    fail("keys of length {} with values of length {} are not supported", config.head_dim,
         value_length);
  }
  if (config.heads % config.kv_heads != 0) {
    fail("{} query heads cannot share {} key-value heads", config.heads, config.kv_heads);
  }
  // Twice: gate and up share a row of activations, as queries, keys and values do.
  const int64_t qkv_columns = (config.heads + 2 * int64_t{config.kv_heads}) * config.head_dim;
  if (qkv_columns > kMaxDimension || 2 * int64_t{config.feed_forward} > kMaxDimension) {
    fail(
        "{} query and {} key-value heads of length {} with a feed-forward length of {} are too "
        "large",
        config.heads, config.kv_heads, config.head_dim, config.feed_forward);
  }
  if (config.head_dim % 2 != 0) fail("head length {} is odd", config.head_dim);

  const GgufTensor& embeddings = file.require_tensor("token_embd.weight");
  config.vocabulary = checked("vocab_size", static_cast<int64_t>(embeddings.rows()));

  config.norm_epsilon = real("attention.layer_norm_rms_epsilon", 1e-5);
  if (config.norm_epsilon <= 0)
    fail("key '{}': must be positive", key("attention.layer_norm_rms_epsilon"));
  if (architecture.scale_embeddings)
    config.embedding_scale = std::sqrt(static_cast<float>(config.embedding));
  const float scaled_length =
      config.layers <= architecture.head_dim_scale_layers
          ? static_cast<float>(config.head_dim)
          : static_cast<float>(config.embedding) / static_cast<float>(config.heads);
  config.attention_scale = 1.0f / std::sqrt(scaled_length);
  config.attention_soft_cap = real("attn_logit_softcapping", 0);
  config.final_soft_cap = real("final_logit_softcapping", 0);
  const int64_t window = metadata.get_int(key("attention.sliding_window")).value_or(0);
  if (window < 0 || window > kMaxDimension) {
    fail("key '{}': {} is out of range", key("attention.sliding_window"), window);
  }
  config.window = static_cast<int>(window);
  config.window_period = optional("attention.sliding_window_pattern", architecture.window_period);

  config.rope = read_rope(file, config);
  config.local_rope = architecture.local_rope_base > 0
                          ? plain_rope(config.rope.dimensions, architecture.interleaved_rope,
                                       read_rope_base(metadata, key("rope.freq_base_swa"),
                                                      architecture.local_rope_base))
                          : config.rope;
  return config;
}

}  // namespace tessera
