#include "model/recurrent_config.h"

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace tessera {
namespace {

constexpr int kMostTaps = 64;

// Those that have no keys; or said for each layer, those that predict further tokens included; or
// all but one in so many.
std::vector<bool> read_layers(const Facts& facts, const BoundedFacts& bounded,
                              const Config& config) {
  constexpr std::string_view kLayers = "attention.recurrent_layers";
  const size_t layers = config.layers.size();
  if (config.architecture->recurrent_beside) return std::vector<bool>(layers, true);
  if (config.architecture->recurrent_without_keys) {
    std::vector<bool> recurrent;
    for (const LayerConfig& layer : config.layers) {
      const bool feeds = layer.feed_forward > 0 || layer.experts.count > 0;
      recurrent.push_back(layer.heads == 0 && !(config.architecture->single_parts && feeds));
    }
    return recurrent;
  }
  if (facts.is_list(kLayers)) {
    std::vector<bool> recurrent = *facts.get_bools(kLayers);
    if (recurrent.size() != layers + static_cast<size_t>(config.next_token_layers)) {
      fail("key '{}': {} values for {} layers", facts.key_of(kLayers), recurrent.size(),
           layers + static_cast<size_t>(config.next_token_layers));
    }
    return recurrent;
  }
  const auto period = static_cast<size_t>(bounded.optional("full_attention_interval", 4));
  std::vector<bool> recurrent;
  for (size_t i = 1; i <= layers; ++i) recurrent.push_back(i % period != 0);
  return recurrent;
}

// Of gated delta networks, too, in the names that GGUF has for state-space models.
RecurrentConfig read_shape(const BoundedFacts& facts, const Architecture& family) {
  RecurrentConfig shape{.kind = family.recurrent,
                        .taps = facts.required("ssm.conv_kernel"),
                        .heads = facts.required("ssm.time_step_rank"),
                        .key_heads = facts.required("ssm.group_count"),
                        .key_dim = facts.required("ssm.state_size"),
                        .grouped = family.grouped_keys,
                        .beside = family.recurrent_beside};
  const int values = facts.required("ssm.inner_size");
  if (shape.heads % shape.key_heads != 0)
    fail("key '{}': {} heads cannot share {} keys", facts.key_of("ssm.group_count"), shape.heads,
         shape.key_heads);
  if (values % shape.heads != 0)
    fail("key '{}': {} values cannot be shared by {} heads", facts.key_of("ssm.inner_size"), values,
         shape.heads);
  shape.value_dim = values / shape.heads;
  const int64_t channels = 2 * int64_t{shape.key_heads} * shape.key_dim + values;
  const int64_t columns = channels + values + 2 * int64_t{shape.heads};
  constexpr int kMostKeys = 1024;
  if (columns > kMaxDimension || shape.taps > kMostTaps || shape.key_dim > kMostKeys) {
    fail("recurrent layers of {} heads with keys of {}, values of {} and {} taps are too large",
         shape.heads, shape.key_dim, shape.value_dim, shape.taps);
  }
  shape.channels = static_cast<int>(channels);
  return shape;
}

RecurrentConfig read_short_convolution(const BoundedFacts& facts, int embedding) {
  RecurrentConfig shape{.kind = RecurrentKind::kShortConvolution,
                        .taps = facts.required("shortconv.l_cache"),
                        .channels = embedding};
  if (shape.taps < 2 || shape.taps > kMostTaps)
    fail("key '{}': {} is out of range", facts.key_of("shortconv.l_cache"), shape.taps);
  return shape;
}

}  // namespace

void read_recurrent(const Facts& facts, const BoundedFacts& bounded, Config& config) {
  if (config.architecture->recurrent == RecurrentKind::kNone) return;
  const std::vector<bool> recurrent = read_layers(facts, bounded, config);
  const RecurrentConfig shape = config.architecture->recurrent == RecurrentKind::kShortConvolution
                                    ? read_short_convolution(bounded, config.embedding)
                                    : read_shape(bounded, *config.architecture);
  for (size_t i = 0; i < config.layers.size(); ++i)
    if (recurrent[i]) config.layers[i].recurrent = shape;
}

}  // namespace tessera
