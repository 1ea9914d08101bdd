#include "model/layers/latent_attention.h"

#include <algorithm>
#include <numeric>

namespace tessera {
namespace {

std::vector<int32_t> all_rows(int count) {
  std::vector<int32_t> rows(static_cast<size_t>(count));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

}  // namespace

LatentAttention::LatentAttention(const Config& config, int layer, Workspace& workspace)
    : config_(config), layer_(layer), key_up_(shape().heads), value_up_(shape().heads) {
  workspace.reserve(Workspace::kHidden, config.embedding);
  workspace.reserve(Workspace::kQkv, shape().q_columns() + shape().head_dim);
  workspace.reserve(Workspace::kAttended, shape().q_columns());
  workspace.reserve(Workspace::kGated, shape().heads * std::max(latent().key, latent().value));
  workspace.reserve(Workspace::kLatent, std::max(latent().query, shape().head_dim));
}

void LatentAttention::for_each_tensor(TensorVisitor& visit) {
  using enum TensorRole;
  const int embedding = config_.embedding, heads = shape().heads;
  const int rank = latent().key_value, nope = latent().key - latent().rope, value = latent().value;
  visit.vector({kAttentionNorm, embedding}, norm_);
  if (latent().query > 0) {
    visit.matrix("query down", {{kQueryDown, latent().query}}, embedding, query_down_);
    visit.vector({kQueryDownNorm, latent().query}, query_norm_);
    visit.matrix("query up", {{kQueryUp, heads * latent().key}}, latent().query, query_up_);
  } else {
    visit.matrix("query", {{kQuery, heads * latent().key}}, embedding, query_up_);
  }
  visit.matrix("key, value down", {{kKeyValueDown, rank + latent().rope}}, embedding,
               key_value_down_);
  visit.vector({kKeyValueDownNorm, rank}, key_value_norm_);
  for (int h = 0; h < heads; ++h) {
    const auto at = static_cast<size_t>(h);
    visit.matrix("key up", {{kKeyUp, heads * rank, h * rank, rank}}, nope, key_up_[at]);
    visit.matrix("value up", {{kValueUp, heads * value, h * value, value}}, rank, value_up_[at]);
  }
  visit.matrix("attention output", {{kAttentionOutput, embedding}}, heads * value, output_);
}

Tensor LatentAttention::queries(const Step& step, Tensor h) const {
  const Tensor result = step.take(Workspace::kGated, shape().heads * latent().key);
  if (query_down_ == nullptr) {
    step.linear(*query_up_, h, nullptr, result);
    return result;
  }
  const Tensor down = step.take(Workspace::kLatent, latent().query);
  step.linear(*query_down_, h, nullptr, down);
  step.backend.rms_norm(down, *query_norm_, config_.norm_epsilon, down);
  step.linear(*query_up_, down, nullptr, result);
  return result;
}

void LatentAttention::forward(const Step& step, Tensor x) const {
  Backend& b = step.backend;
  const int heads = shape().heads, length = shape().head_dim, rank = latent().key_value;
  const int rope = latent().rope, nope = latent().key - rope, value = latent().value;
  const Tensor h = step.take(Workspace::kHidden, config_.embedding),
               qk = step.take(Workspace::kQkv, heads * length + length),
               attended = step.take(Workspace::kAttended, heads * length);
  const Tensor q = qk.slice(0, heads * length), k = qk.slice(heads * length, length);
  const std::vector<int32_t> all = all_rows(x.rows);
  b.rms_norm(x, *norm_, config_.norm_epsilon, h);
  step.show(layer_, TapPoint::kQkvInput, h);
  const Tensor given = queries(step, h);
  for (int head = 0; head < heads; ++head) {
    const Tensor from = given.slice(head * latent().key, latent().key),
                 to = q.slice(head * length, length);
    b.gather_rows(from.slice(nope, rope), all, to.slice(0, rope));
    step.linear(*key_up_[static_cast<size_t>(head)], from.slice(0, nope), nullptr,
                to.slice(rope, rank));
  }
  const Tensor down = step.take(Workspace::kLatent, rank + rope);
  step.linear(*key_value_down_, h, nullptr, down);
  b.rms_norm(down.slice(0, rank), *key_value_norm_, config_.norm_epsilon, k.slice(rope, rank));
  b.gather_rows(down.slice(rank, rope), all, k.slice(0, rope));
  const RopeTable& table = step.rope(shape().rope);
  b.rope(table, length, step.rows, q);
  b.rope(table, length, step.rows, k);
  // The latent is the value, too. It is kept twice: attention knows keys and values of one length.
  b.write_kv(step.kv, shape().kv_layer, step.rows, k, k);
  b.attend(step.kv, {.layer = shape().kv_layer, .heads = heads, .scale = shape().attention_scale},
           q, step.rows, attended);
  const Tensor values = step.take(Workspace::kGated, heads * value);
  for (int head = 0; head < heads; ++head) {
    step.linear(*value_up_[static_cast<size_t>(head)], attended.slice(head * length + rope, rank),
                nullptr, values.slice(head * value, value));
  }
  step.show(layer_, TapPoint::kOutputInput, values);
  step.linear(*output_, values, nullptr, h);
  b.add(h, x);
}

}  // namespace tessera
