#include "model/layers/attention.h"

namespace tessera {

Attention::Attention(const Config& config, int layer, Workspace& workspace)
    : config_(config), layer_(layer) {
  workspace.reserve(Workspace::kHidden, config.embedding);
  workspace.reserve(Workspace::kQkv, shape().q_columns() + 2 * shape().kv_columns());
  workspace.reserve(Workspace::kAttended, shape().q_columns());
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
  if (family.qk_norm) {
    visit.vector({kQueryNorm, shape().head_dim}, q_norm_);
    visit.vector({kKeyNorm, shape().head_dim}, k_norm_);
  }
  visit.matrix("attention output", {{kAttentionOutput, embedding}}, q, output_);
  visit.vector({{kAttentionOutputBias, embedding}}, kOptional, output_bias_);
  if (family.post_norms) visit.vector({kPostAttentionNorm, embedding}, post_norm_);
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
  if (q_norm_ != nullptr) {
    b.rms_norm(q, *q_norm_, config_.norm_epsilon, q);
    b.rms_norm(k, *k_norm_, config_.norm_epsilon, k);
  }
  const RopeTable& rope = step.rope(layer.rope);
  b.rope(rope, layer.head_dim, step.rows, q);
  b.rope(rope, layer.head_dim, step.rows, k);
  b.write_kv(step.kv, layer_, step.rows, k, v);
  b.attend(step.kv,
           {.layer = layer_,
            .heads = layer.heads,
            .scale = layer.attention_scale,
            .soft_cap = config_.attention_soft_cap,
            .window = layer.window},
           q, step.rows, attended);
  step.show(layer_, TapPoint::kOutputInput, attended);
  step.linear(*output_, attended, output_bias_.get(), h);
  if (post_norm_ != nullptr) b.rms_norm(h, *post_norm_, config_.norm_epsilon, h);
  b.add(h, x);
}

}  // namespace tessera
