#include "model/layers/attention.h"

#include <algorithm>

namespace tessera {

Attention::Attention(const Config& config, int layer, Workspace& workspace)
    : config_(config), layer_(layer) {
  workspace.reserve(Workspace::kHidden, config.embedding);
  workspace.reserve(Workspace::kQkv, shape().q_columns() + 2 * shape().kv_columns());
  workspace.reserve(Workspace::kAttended, shape().q_columns());
  workspace.reserve(Workspace::kGated, shape().kv_columns());  // show_value_inputs()
}

void Attention::for_each_tensor(TensorVisitor& visit) {
  using enum TensorVisitor::Presence;
  using enum TensorRole;
  const Architecture& family = *config_.architecture;
  const int embedding = config_.embedding, q = shape().q_columns(), kv = shape().kv_columns();
  visit.vector({kAttentionNorm, embedding}, norm_);
  if (family.fused_qkv) {
    visit.matrix("qkv", {{kQueryKeyValue, q + 2 * kv}}, embedding, qkv_);
    visit.vector({{kQueryKeyValueBias, q + 2 * kv}}, kOptional, qkv_bias_);
  } else {
    visit.matrix("qkv", {{kQuery, q}, {kKey, kv}, {kValue, kv}}, embedding, qkv_);
    visit.vector({{kQueryBias, q}, {kKeyBias, kv}, {kValueBias, kv}},
                 family.qkv_bias ? kRequired : kOptional, qkv_bias_);
  }
  if (family.qk_norm || family.may_have_qk_norm) {
    const auto presence = family.qk_norm ? kRequired : kOptional;
    visit.vector({{kQueryNorm, shape().head_dim}}, presence, q_norm_);
    visit.vector({{kKeyNorm, shape().head_dim}}, presence, k_norm_);
  }
  visit.matrix("attention output", {{kAttentionOutput, embedding}}, q, output_);
  visit.vector({{kAttentionOutputBias, embedding}}, kOptional, output_bias_);
  if (family.attention_sinks) visit.vector({kAttentionSinks, shape().heads}, sinks_);
  if (family.post_norms) visit.vector({kPostAttentionNorm, embedding}, post_norm_);
}

AttentionParameters Attention::parameters() const {
  return {.layer = layer_,
          .heads = shape().heads,
          .scale = shape().attention_scale,
          .soft_cap = config_.attention_soft_cap,
          .window = shape().window,
          .sinks = sinks_.get()};
}

// Attends as the layer does, to inputs in the place of values: the same head_dim columns of them in
// every KV head.
void Attention::show_value_inputs(const Step& step, const Tap& tap, Tensor h, Tensor q,
                                  Tensor k) const {
  Backend& b = step.backend;
  const int head_dim = shape().head_dim;
  const RowMetadata& all = step.rows.host;
  std::vector<int32_t> chosen = tap.rows;
  if (chosen.empty()) {
    for (int r = 0; r < h.rows; ++r) chosen.push_back(r);
  }
  std::vector<int32_t> positions, slots;
  std::vector<RowContext> contexts;
  for (const int32_t r : chosen) {
    positions.push_back(all.positions[r]);
    slots.push_back(all.slots[r]);
    contexts.push_back(all.contexts[r]);
  }
  const auto rows = b.prepare({.positions = positions, .slots = slots, .contexts = contexts});
  const int count = static_cast<int>(chosen.size());
  const Tensor queries = step.take(Workspace::kTapped, q.columns).top(count),
               attended = step.take(Workspace::kAttended, q.columns).top(count),
               values = step.take(Workspace::kGated, k.columns);
  b.gather_rows(q, chosen, queries);
  for (int first = 0; first < h.columns; first += head_dim) {
    const Tensor part = h.slice(first, std::min(head_dim, h.columns - first));
    b.on_host(std::span(&part, 1), values, [&](std::span<const HostRows> inputs, HostTensor out) {
      for (int r = 0; r < out.rows; ++r) {
        std::fill_n(out.row(r), out.columns, 0.0f);
        for (int c = 0; c < out.columns; c += head_dim)
          std::ranges::copy(inputs[0].row(r), out.row(r) + c);
      }
    });
    b.write_kv(step.kv, layer_, step.rows, k, values);
    b.attend(step.kv, parameters(), queries, *rows, attended);
    tap.read(attended);
  }
}

void Attention::forward(const Step& step, Tensor x) const {
  Backend& b = step.backend;
  const LayerConfig& layer = shape();
  const int q_columns = layer.q_columns(), kv_columns = layer.kv_columns();
  const Tensor h = step.take(Workspace::kHidden, config_.embedding),
               qkv = step.take(Workspace::kQkv, q_columns + 2 * kv_columns),
               attended = step.take(Workspace::kAttended, q_columns);
  const Tensor q = qkv.slice(0, q_columns), k = qkv.slice(q_columns, kv_columns),
               v = qkv.slice(q_columns + kv_columns, kv_columns);
  b.rms_norm(x, *norm_, config_.norm_epsilon, h);
  step.show(layer_, TapPoint::kQkvInput, h);
  step.linear(*qkv_, h, qkv_bias_.get(), qkv);
  if (q_norm_ != nullptr) b.rms_norm(q, *q_norm_, config_.norm_epsilon, q);
  if (k_norm_ != nullptr) b.rms_norm(k, *k_norm_, config_.norm_epsilon, k);
  const RopeTable& rope = step.rope(layer.rope);
  b.rope(rope, layer.head_dim, step.rows, q);
  b.rope(rope, layer.head_dim, step.rows, k);
  for (const Tap& tap : step.taps()) {
    if (tap.layer == layer_ && tap.point == TapPoint::kValueInput)
      show_value_inputs(step, tap, h, q, k);
  }
  b.write_kv(step.kv, layer_, step.rows, k, v);
  b.attend(step.kv, parameters(), q, step.rows, attended);
  step.show(layer_, TapPoint::kOutputInput, attended);
  step.linear(*output_, attended, output_bias_.get(), h);
  if (post_norm_ != nullptr) b.rms_norm(h, *post_norm_, config_.norm_epsilon, h);
  b.add(h, x);
}

}  // namespace tessera
