#include "model/experts_config.h"

#include <algorithm>

namespace tessera {
namespace {

// Far more than any real model has.
constexpr int kMostExperts = 4096;

}  // namespace

ExpertsConfig read_experts(const BoundedFacts& facts, int embedding) {
  ExpertsConfig experts{.count = facts.or_none("expert_count")};
  if (experts.count == 0) return experts;
  if (experts.count > kMostExperts) {
    fail("key '{}': {} is out of range", facts.key_of("expert_count"), experts.count);
  }
  experts.used = facts.required("expert_used_count");
  if (experts.used > experts.count) {
    fail("key '{}': {} of {} experts", facts.key_of("expert_used_count"), experts.used,
         experts.count);
  }
  experts.feed_forward = facts.or_none("expert_feed_forward_length");
  if (experts.feed_forward == 0) experts.feed_forward = facts.required("feed_forward_length");
  const int64_t shared = facts.or_none("expert_shared_count");
  experts.shared = facts.or_none("expert_shared_feed_forward_length");
  if (experts.shared == 0 && shared > 0) {
    if (shared * experts.feed_forward > kMaxDimension)
      fail("key '{}': {} is out of range", facts.key_of("expert_shared_count"), shared);
    experts.shared = static_cast<int>(shared) * experts.feed_forward;
  }
  experts.latent = facts.or_none("moe_latent_size");
  const int64_t widest =
      int64_t{experts.count} * std::max({embedding, experts.feed_forward, experts.latent});
  if (int64_t{experts.used} * std::max(embedding, experts.latent) > kMaxDimension ||
      2 * int64_t{experts.shared} > kMaxDimension ||
      2 * int64_t{experts.feed_forward} > kMaxDimension || widest >= (int64_t{1} << 30)) {
    fail("{} experts of length {}, of which {} are used, are too large for an embedding of {}",
         experts.count, experts.feed_forward, experts.used, embedding);
  }
  return experts;
}

DenseLayers read_dense_layers(const BoundedFacts& facts, const ExpertsConfig& experts) {
  return {.leading = facts.or_none("leading_dense_block_count"),
          .period = facts.optional("interleave_moe_layer_step", 1),
          .all = experts.count == 0};
}

Routing read_routing(const BoundedFacts& facts, const Architecture& architecture,
                     const ExpertsConfig& config) {
  const int experts = config.count, used = config.used;
  Routing routing{.gating = architecture.gating,
                  .normalize = facts.is("expert_weights_norm", architecture.normalize_experts),
                  .scale = facts.real("expert_weights_scale", 1.0f)};
  // GGUF's numbers: llama_expert_gating_func_type.
  switch (facts.or_none("expert_gating_func")) {
    case 0:
      break;
    case 1:
      routing.gating = Gating::kSoftmax;
      break;
    case 2:
      routing.gating = Gating::kSigmoid;
      break;
    case 3:
      routing.gating = Gating::kSoftmaxOfChosen;
      break;
    default:
      fail("key '{}': {} is not supported", facts.key_of("expert_gating_func"),
           facts.or_none("expert_gating_func"));
  }
  if (routing.scale == 0) routing.scale = 1;  // what converters write for "none"
  routing.groups = facts.optional("expert_group_count", 1);
  routing.groups_used = facts.optional("expert_group_used_count", routing.groups);
  if (experts % routing.groups != 0 || routing.groups_used > routing.groups) {
    fail("{} of {} groups of experts, of which there are {}, are not supported",
         routing.groups_used, routing.groups, experts);
  }
  if (used > routing.groups_used * (experts / routing.groups)) {
    fail("{} experts are used, of which {} groups of {} have fewer", used, routing.groups_used,
         experts / routing.groups);
  }
  return routing;
}

}  // namespace tessera
