#include "model/layers/attention.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace tessera {

namespace {

// ALiBi's slopes (Press et al. 2022): of 2^k heads a geometric sequence down to
// 2^-max_slope_exponent; of n others that of the power of two below, then every other slope of the
// power of two above.
std::vector<float> alibi_slopes(int heads, float max_slope_exponent) {
  std::vector<float> slopes;
  if (max_slope_exponent == 0) return slopes;
  const int power = static_cast<int>(std::bit_floor(static_cast<unsigned>(heads)));
  const double step = static_cast<double>(max_slope_exponent) / power;
  for (int head = 1; head <= heads; ++head) {
    const double steps = head <= power ? head : head - power - 0.5;
    slopes.push_back(static_cast<float>(std::exp2(-step * steps)));
  }
  return slopes;
}

}  // namespace

Attention::Attention(const Config& config, int layer, Workspace& workspace)
    : config_(config),
      layer_(layer),
      slopes_(alibi_slopes(shape().heads, config.max_slope_exponent)) {
  workspace.reserve(Workspace::kHidden, config.embedding);
  workspace.reserve(Workspace::kQkv, qkv_columns());
  workspace.reserve(Workspace::kAttended, shape().q_columns());
  workspace.reserve(Workspace::kGated, shape().kv_columns());  // show_value_inputs()
}

void Attention::for_each_tensor(TensorVisitor& visit) {
  using enum TensorVisitor::Presence;
  using enum TensorRole;
  const Architecture& family = *config_.architecture;
  const int embedding = config_.embedding, q = shape().q_columns(), kv = shape().kv_columns();
  if (family.pre_norms && (family.first_norm || layer_ > 0))
    norm_.tell(visit, config_, config_.attention_norm.weight, config_.attention_norm.bias,
               embedding);
  tell_projections(visit);
  if (family.qk_norm || family.may_have_qk_norm || family.joint_qk_norm) {
    const int head = shape().head_dim;
    const auto presence = family.may_have_qk_norm ? kOptional : kRequired;
    q_norm_.tell(visit, config_, kQueryNorm, kQueryNormBias, family.joint_qk_norm ? q : head,
                 presence);
    if (!shape().shares_kv)
      k_norm_.tell(visit, config_, kKeyNorm, kKeyNormBias, family.joint_qk_norm ? kv : head,
                   presence);
  }
  if (family.may_have_head_norms) {
    tell_heads(visit, kQueryNorm, shape().heads, q_heads_);
    tell_heads(visit, kKeyNorm, shape().kv_heads, k_heads_);
  }
  if (config_.unit_qk_norm && shape().rope != LayerConfig::kUnrotated)
    visit.constant(shape().head_dim, 1.0f, unit_norm_);
  if (family.value_norm && !shape().shares_kv) visit.constant(shape().head_dim, 1.0f, value_norm_);
  visit.matrix("attention output", {{kAttentionOutput, embedding}}, q, output_);
  visit.vector({{kAttentionOutputBias, embedding}}, kOptional, output_bias_);
  if (family.attention_sinks) visit.vector({kAttentionSinks, shape().heads}, sinks_);
  if (family.post_norms) post_norm_.tell(visit, kPostAttentionNorm, embedding);
  if (family.residual_norms) {
    residual_norm_.tell(visit, config_, kAttentionOutputNorm, kAttentionOutputNormBias, embedding);
  }
}

// The weights of heads that have one each.
void Attention::tell_heads(TensorVisitor& visit, TensorRole role, int heads,
                           std::vector<std::vector<float>>& into) {
  const int length = shape().head_dim;
  into.resize(static_cast<size_t>(heads));
  for (int head = 0; head < heads; ++head) {
    visit.values({role, heads * length, head * length, length}, TensorVisitor::Presence::kOptional,
                 into[static_cast<size_t>(head)]);
  }
}

void Attention::tell_projections(TensorVisitor& visit) {
  using enum TensorVisitor::Presence;
  using enum TensorRole;
  const int embedding = config_.embedding, q = shape().q_columns(), kv = shape().kv_columns();
  if (config_.architecture->output_gate) {
    const int heads = shape().heads, head = shape().head_dim;
    std::vector<StoredRows> parts;
    for (int i = 0; i < heads; ++i) parts.push_back({kQuery, 2 * q, 2 * i * head, head});
    parts.insert(parts.end(), {{kKey, kv}, {kValue, kv}});
    for (int i = 0; i < heads; ++i) parts.push_back({kQuery, 2 * q, (2 * i + 1) * head, head});
    visit.matrix("qkv, gate", parts, embedding, qkv_);
  } else if (shape().fused_qkv) {
    visit.matrix("qkv", {{kQueryKeyValue, q + 2 * kv}}, embedding, qkv_);
    visit.vector({{kQueryKeyValueBias, q + 2 * kv}}, kOptional, qkv_bias_);
  } else if (shape().shares_kv) {
    visit.matrix("query", {{kQuery, q}}, embedding, qkv_);
  } else if (shape().keys_as_values) {
    visit.matrix("query, key", {{kQuery, q}, {kKey, kv}}, embedding, qkv_);
  } else {
    visit.matrix("qkv", {{kQuery, q}, {kKey, kv}, {kValue, kv}}, embedding, qkv_);
    visit.vector({{kQueryBias, q}, {kKeyBias, kv}, {kValueBias, kv}},
                 config_.architecture->qkv_bias ? kRequired : kOptional, qkv_bias_);
  }
}

AttentionParameters Attention::parameters() const {
  return {.layer = shape().kv_layer,
          .heads = shape().heads,
          .scale = shape().attention_scale,
          .soft_cap = config_.attention_soft_cap,
          .window = shape().window,
          .chunk = shape().chunk,
          .sinks = sinks_.get(),
          .slopes = slopes_};
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
    b.write_kv(step.kv, shape().kv_layer, step.rows, k, values);
    b.attend(step.kv, parameters(), queries, *rows, attended);
    tap.read(attended);
  }
}

// Each head alone, or all of a row. Values are made of keys as these are before.
void Attention::normalize(Backend& b, Tensor q, Tensor k, Tensor v) const {
  if (value_norm_)
    b.rms_norm(shape().keys_as_values ? k : v, *value_norm_, config_.norm_epsilon, v);
  if (!q_heads_.empty() && !q_heads_[0].empty()) normalize_heads(b, q_heads_, q);
  if (!k_heads_.empty() && !k_heads_[0].empty()) normalize_heads(b, k_heads_, k);
  if (q_norm_) q_norm_.apply(b, config_, q, q);
  if (k_norm_) k_norm_.apply(b, config_, k, k);
}

// LayerNorm of each head alone, by its own weights.
void Attention::normalize_heads(Backend& b, const std::vector<std::vector<float>>& weights,
                                Tensor x) const {
  const auto length = static_cast<size_t>(shape().head_dim);
  b.on_host(std::span(&x, 1), x, [&](std::span<const HostRows> inputs, HostTensor out) {
    for (int r = 0; r < out.rows; ++r) {
      for (size_t h = 0; h < weights.size(); ++h) {
        const auto head = inputs[0].row(r).subspan(h * length, length);
        double sum = 0, squares = 0;
        for (const float value : head) sum += value;
        const double mean = sum / static_cast<double>(length);
        for (const float value : head) squares += (value - mean) * (value - mean);
        const double scale =
            1 / std::sqrt(squares / static_cast<double>(length) + config_.norm_epsilon);
        for (size_t i = 0; i < length; ++i) {
          out.row(r)[h * length + i] = static_cast<float>((head[i] - mean) * scale) * weights[h][i];
        }
      }
    }
  });
}

// What says where queries and keys are: rotations, and queries that grow with their position.
void Attention::rotate(const Step& step, Tensor q, Tensor k) const {
  Backend& b = step.backend;
  const LayerConfig& layer = shape();
  if (layer.rope != LayerConfig::kUnrotated) {
    const RopeTable& rope = step.rope(layer.rope);
    b.rope(rope, layer.head_dim, step.rows, q);
    if (!layer.shares_kv) b.rope(rope, layer.head_dim, step.rows, k);
    for (const Tensor rotated : {q, k}) {
      if (unit_norm_) b.rms_norm(rotated, *unit_norm_, config_.norm_epsilon, rotated);
    }
  }
  const bool is_llama4 = config_.architecture->growth_length > 0;
  if (config_.query_growth == 0 || (is_llama4 && layer.rope != LayerConfig::kUnrotated)) return;
  const std::span<const int32_t> positions = step.rows.host.positions;
  const auto periods = [&](int32_t position) {
    return (int64_t{position} + (is_llama4 ? 1 : 0)) / config_.growth_length;
  };
  const auto growth = [&](int32_t position) {
    const auto passed = static_cast<double>(periods(position));
    return static_cast<float>(1 + config_.query_growth * std::log1p(passed));
  };
  if (periods(std::ranges::max(positions)) == 0) return;
  b.on_host(std::span(&q, 1), q, [&](std::span<const HostRows> inputs, HostTensor out) {
    for (int r = 0; r < out.rows; ++r) {
      const float factor = growth(positions[static_cast<size_t>(r)]);
      std::ranges::transform(inputs[0].row(r), out.row(r), [&](float v) { return v * factor; });
    }
  });
}

void Attention::forward(const Step& step, Tensor x) const {
  Backend& b = step.backend;
  const LayerConfig& layer = shape();
  const int q_columns = layer.q_columns(), kv_columns = layer.kv_columns();
  const Tensor h = step.take(Workspace::kHidden, config_.embedding),
               qkv = step.take(Workspace::kQkv, qkv_columns()),
               attended = step.take(Workspace::kAttended, q_columns);
  const Tensor q = qkv.slice(0, q_columns), k = qkv.slice(q_columns, kv_columns),
               v = qkv.slice(q_columns + kv_columns, kv_columns);
  const Tensor input = norm_ ? h : x;
  if (norm_) norm_.apply(b, config_, x, h);
  step.show(layer_, TapPoint::kQkvInput, input);
  step.linear(*qkv_, input, qkv_bias_.get(), qkv.slice(0, qkv_->rows));
  normalize(b, q, k, v);
  rotate(step, q, k);
  for (const Tap& tap : step.taps()) {
    // What values are normalized by lies between their inputs and attention.
    if (tap.layer == layer_ && tap.point == TapPoint::kValueInput && !value_norm_ &&
        !layer.shares_kv)
      show_value_inputs(step, tap, input, q, k);
  }
  if (!layer.shares_kv) b.write_kv(step.kv, layer.kv_layer, step.rows, k, v);
  b.attend(step.kv, parameters(), q, step.rows, attended);
  if (config_.architecture->output_gate)
    b.gate(Activation::kSigmoid, qkv.slice(q_columns + 2 * kv_columns, q_columns), attended);
  step.show(layer_, TapPoint::kOutputInput, attended);
  step.linear(*output_, attended, output_bias_.get(), h);
  if (post_norm_) post_norm_.apply(b, config_, h, h);
  if (config_.residual_scale != 1) b.scale_and_cap(config_.residual_scale, 0, h);
  b.add(h, x);
  if (residual_norm_) residual_norm_.apply(b, config_, x, x);
}

}  // namespace tessera
