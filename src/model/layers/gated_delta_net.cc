#include "model/layers/gated_delta_net.h"

#include <cmath>

#include "model/layers/recurrence.h"

namespace tessera {
namespace {

// Under the root, beside the sum of squares: transformers' constant.
constexpr float kLengthEpsilon = 1e-6f;

}  // namespace

GatedDeltaNet::GatedDeltaNet(const Config& config, int layer, Workspace& workspace)
    : config_(config), layer_(layer) {
  RecurrenceRows::reserve(workspace, config, shape(), input_columns());
}

void GatedDeltaNet::for_each_tensor(TensorVisitor& visit) {
  using enum TensorRole;
  const RecurrentConfig& s = shape();
  const int embedding = config_.embedding, channels = s.channels, values = s.values();
  norm_.tell(visit, config_, kAttentionNorm, kAttentionNormBias, embedding);
  std::vector<StoredRows> parts = {{kQueryKeyValue, channels}, {kRecurrentGate, values}};
  if (s.grouped) {  // of each key's heads first the rates, then the steps
    const int group = s.heads / s.key_heads, all = 2 * s.heads;
    for (const int offset : {0, group}) {
      for (int key = 0; key < s.key_heads; ++key)
        parts.push_back({kRecurrentRateAndStep, all, 2 * group * key + offset, group});
    }
  } else {
    parts.push_back({kRecurrentRate, s.heads});
    parts.push_back({kRecurrentStep, s.heads});
  }
  visit.matrix("recurrent input", parts, embedding, input_);
  visit.filter({kRecurrentFilter, channels}, s.taps, filter_);
  using enum TensorVisitor::Presence;
  visit.values({kRecurrentDecay, s.heads}, kRequired, decay_);
  visit.values({kRecurrentStepBias, s.heads}, kRequired, step_bias_);
  const auto key_dim = static_cast<float>(s.key_dim);
  visit.constant(s.key_dim, 1 / key_dim, query_length_);
  visit.constant(s.key_dim, 1 / std::sqrt(key_dim), key_length_);
  visit.vector({kRecurrentNorm, s.value_dim}, head_norm_);
  visit.matrix("recurrent output", {{kRecurrentOutput, embedding}}, values, output_);
}

// From rates and steps as they come out of the matrix; the decays come first.
void GatedDeltaNet::find_decays(const Step& step, Tensor input, Tensor decays_and_rates) const {
  const auto heads = static_cast<size_t>(shape().heads);
  step.backend.on_host(
      std::span(&input, 1), decays_and_rates,
      [&](std::span<const HostRows> inputs, HostTensor out) {
        for (int r = 0; r < out.rows; ++r) {
          const auto row = inputs[0].row(r);
          for (size_t head = 0; head < heads; ++head) {
            const double moved = softplus(row[heads + head] + double{step_bias_[head]});
            out.row(r)[head] = static_cast<float>(std::exp(decay_[head] * moved));
            out.row(r)[heads + head] = static_cast<float>(1 / (1 + std::exp(-double{row[head]})));
          }
        }
      });
}

void GatedDeltaNet::forward(const Step& step, Tensor x) const {
  Backend& b = step.backend;
  const RecurrentConfig& s = shape();
  const int channels = s.channels, values = s.values(), keys = s.keys();
  const auto [h, input, qkv, gates, out] = RecurrenceRows::take(step, config_, s, input_columns());
  norm_.apply(b, config_, x, h);
  step.show(layer_, TapPoint::kQkvInput, h);
  step.linear(*input_, h, nullptr, input);
  b.convolve(step.kv, layer_, *filter_, nullptr, step.rows, input.slice(0, channels), qkv);
  b.activate(Activation::kSilu, qkv);
  const Tensor q = qkv.slice(0, keys), k = qkv.slice(keys, keys), v = qkv.slice(2 * keys, values);
  const float epsilon = kLengthEpsilon / static_cast<float>(s.key_dim);
  b.rms_norm(q, *query_length_, epsilon, q);
  b.rms_norm(k, *key_length_, epsilon, k);
  find_decays(step, input.slice(channels + values, 2 * s.heads), gates);
  b.recur(step.kv, {.layer = layer_, .delta_rule = true}, step.rows,
          {.queries = q,
           .keys = k,
           .values = v,
           .decays = gates.slice(0, s.heads),
           .rates = gates.slice(s.heads, s.heads)},
          out);
  b.rms_norm(out, *head_norm_, config_.norm_epsilon, out);
  b.gate(Activation::kSilu, input.slice(channels, values), out);
  step.show(layer_, TapPoint::kRecurrentOutputInput, out);
  step.linear(*output_, out, nullptr, h);
  b.add(h, x);
}

}  // namespace tessera
