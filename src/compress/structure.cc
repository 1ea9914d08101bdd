#include "compress/structure.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoint/role_kinds.h"
#include "model/layer_choice.h"

namespace tessera {
namespace {

int left_of(int count, double share) {
  return count - static_cast<int>(std::lround(share * count));
}

int neurons_left(int count, double share) {
  const double left = count * (1 - share);
  const auto nearest = [&](int multiple) {
    return std::max(1, static_cast<int>(std::lround(left / multiple))) * multiple;
  };
  if (count % 256 == 0 && std::fabs(nearest(256) - left) <= count / 64.0) return nearest(256);
  return count % 32 == 0 ? nearest(32) : nearest(1);
}

void cut_heads(ModelShape& shape, double share) {
  const int group = shape.heads / shape.kv_heads;
  const int kv_left = left_of(shape.kv_heads, share), group_left = left_of(group, share);
  const auto distance = [&](int left, int count) {
    return left == 0 || left == count ? 1.0
                                      : std::fabs(1.0 - share - static_cast<double>(left) / count);
  };
  const double by_group = distance(kv_left, shape.kv_heads), within = distance(group_left, group);
  if (by_group == 1 && within == 1) {
    fail("{} query heads for {} key-value heads cannot be cut by {:.0f} %", shape.heads,
         shape.kv_heads, 100 * share);
  }
  if (by_group <= within) {
    shape.kv_heads = kv_left;
    shape.heads = kv_left * group;
  } else {
    shape.heads = shape.kv_heads * group_left;
  }
}

void require_plain_layers(const Config& config, const PruneOptions& options) {
  const LayerConfig &first = config.layers.front(), &last = config.layers.back();
  if (config.architecture->recurrent != RecurrentKind::kNone && options.heads > 0)
    fail("this model has recurrent layers: its heads cannot be cut");
  if (options.neurons > 0 && last.experts.count > 0)
    fail("this model is a mixture of experts, whose neurons cannot be cut");
  if (options.heads > 0 && first.latent.key_value > 0)
    fail("this model has latent attention, whose heads cannot be cut");
  if (options.heads > 0 && config.max_slope_exponent > 0)
    fail("the slopes of this model's heads follow from their number: none can be cut");
}

void require_same_shape(const Config& config, bool cuts_heads) {
  const LayerConfig& first = config.layers.front();
  for (const LayerConfig& layer : config.layers) {
    const bool same_heads = layer.heads == first.heads && layer.kv_heads == first.kv_heads &&
                            layer.head_dim == first.head_dim;
    if ((cuts_heads && !same_heads) || layer.feed_forward != first.feed_forward)
      fail("the layers of this model have different shapes: their heads and neurons cannot be cut");
  }
}

// Of `size` from `first` on, the `count` of the highest scores, ascending; of equal ones the first.
void choose(std::span<const double> scores, size_t first, size_t size, size_t count,
            std::vector<size_t>& kept) {
  std::vector<size_t> order(size);
  std::iota(order.begin(), order.end(), first);
  std::ranges::stable_sort(order, std::greater(), [&](size_t i) { return scores[i]; });
  order.resize(count);
  std::ranges::sort(order);
  kept.insert(kept.end(), order.begin(), order.end());
}

// The rows of heads of so many rows each, from row `first` on.
void add_rows(std::span<const size_t> heads, int size, size_t first, std::vector<size_t>& rows) {
  for (const size_t head : heads) {
    for (int i = 0; i < size; ++i) rows.push_back(first + head * static_cast<size_t>(size) + i);
  }
}

}  // namespace

ModelShape shape_of(const Config& config) {
  const LayerConfig& first = config.layers.front();
  return {static_cast<int>(config.layers.size()), first.heads, first.kv_heads, first.feed_forward};
}

ModelShape cut_shape(const Config& config, const PruneOptions& options) {
  const ModelShape before = shape_of(config);
  ModelShape after = before;
  require_plain_layers(config, options);
  if (options.layers > 0) {
    require_droppable_layers(config);
    after.layers = left_of(before.layers, options.layers);
    if (after.layers == before.layers || after.layers == 0) {
      fail("{:.0f} % of {} layers is {}", 100 * options.layers, before.layers,
           after.layers == 0 ? "all of them" : "none");
    }
  }
  if (options.neurons > 0 || options.heads > 0) require_same_shape(config, options.heads > 0);
  if (options.neurons > 0) {
    after.feed_forward = neurons_left(before.feed_forward, options.neurons);
    if (after.feed_forward >= before.feed_forward)
      fail("{:.1f} % of {} neurons is too little to cut", 100 * options.neurons,
           before.feed_forward);
  }
  if (options.heads > 0) cut_heads(after, options.heads);
  return after;
}

TensorPart part_of(const StoredTensor& tensor, const Config& config, const LayerParts& parts) {
  using enum TensorRole;
  const LayerConfig& layer = config.layers.front();
  const int size = layer.head_dim;
  const bool is_vector = tensor.shape.size() == 1;
  const bool is_of_neurons = tensor.place.role == kGate || tensor.place.role == kUp ||
                             tensor.place.role == kUpBias || tensor.place.role == kDown;
  if (parts.heads.empty() && !is_of_neurons) return {};
  TensorPart part{is_vector ? TensorPart::Axis::kColumns : TensorPart::Axis::kRows};
  switch (tensor.place.role) {
    case kQuery:
    case kQueryBias:
      add_rows(parts.heads, size, 0, part.kept);
      return part;
    case kKey:
    case kValue:
    case kKeyBias:
    case kValueBias:
      add_rows(parts.kv_heads, size, 0, part.kept);
      return part;
    case kQueryKeyValue:
    case kQueryKeyValueBias: {
      const auto queries = static_cast<size_t>(layer.q_columns());
      add_rows(parts.heads, size, 0, part.kept);
      add_rows(parts.kv_heads, size, queries, part.kept);
      add_rows(parts.kv_heads, size, queries + static_cast<size_t>(layer.kv_columns()), part.kept);
      return part;
    }
    case kAttentionOutput:
      add_rows(parts.heads, size, 0, part.kept);
      part.axis = TensorPart::Axis::kColumns;
      return part;
    case kGate:
    case kUp:
      add_rows(parts.neurons, 1, 0, part.kept);
      if (tensor.place.role == kUp && config.architecture->fused_gate_up)
        add_rows(parts.neurons, 1, static_cast<size_t>(layer.feed_forward), part.kept);
      return part;
    case kUpBias:
      add_rows(parts.neurons, 1, 0, part.kept);
      return part;
    case kDown:
      part.kept = parts.neurons;
      part.axis = TensorPart::Axis::kColumns;
      return part;
    case kQueryNorm:
    case kKeyNorm:
      if (tensor.elements() == static_cast<uint64_t>(size)) return {};  // one for all heads
      break;
    case kAttentionOutputBias:
    case kAttentionNormBias:
    case kFeedForwardNormBias:
    case kDownBias:
    case kOutputNormBias:
      return {};
    default:
      if (is_norm(tensor.place.role)) return {};
  }
  fail("tensor '{}': it is not known what of it belongs to which head or neuron",
       printable(tensor.name));
}

std::vector<size_t> best_neurons(const ModelShape& before, const ModelShape& after,
                                 std::span<const double> scores) {
  std::vector<size_t> kept;
  choose(scores, 0, static_cast<size_t>(before.feed_forward),
         static_cast<size_t>(after.feed_forward), kept);
  return kept;
}

void choose_heads(const ModelShape& before, const ModelShape& after, std::span<const double> scores,
                  LayerParts& parts) {
  const auto heads = static_cast<size_t>(before.heads), kv = static_cast<size_t>(before.kv_heads),
             group = heads / kv;
  if (after.kv_heads < before.kv_heads) {
    std::vector<double> groups(kv);
    for (size_t h = 0; h < heads; ++h) groups[h / group] += scores[h];
    choose(groups, 0, kv, static_cast<size_t>(after.kv_heads), parts.kv_heads);
    for (const size_t g : parts.kv_heads)
      for (size_t h = 0; h < group; ++h) parts.heads.push_back(g * group + h);
  } else {
    for (size_t g = 0; g < kv; ++g) {
      parts.kv_heads.push_back(g);
      choose(scores, g * group, group, static_cast<size_t>(after.heads) / kv, parts.heads);
    }
  }
}

}  // namespace tessera
