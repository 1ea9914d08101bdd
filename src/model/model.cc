#include "model/model.h"

#include "base/error.h"

namespace tessera {

Model::Model(std::shared_ptr<const GgufFile> file, std::shared_ptr<Backend> backend, Limits limits,
             const std::function<void(size_t, size_t)>& on_progress)
    : file_(std::move(file)),
      backend_(std::move(backend)),
      limits_(limits),
      config_(read_config(*file_, limits.context)),
      weights_(load_weights(*file_, config_, *backend_, on_progress)) {
  const int qkv_columns = (config_.heads + 2 * config_.kv_heads) * config_.head_dim;
  residual_ = backend_->allocate(limits_.rows, config_.embedding);
  hidden_ = backend_->allocate(limits_.rows, config_.embedding);
  qkv_ = backend_->allocate(limits_.rows, qkv_columns);
  attended_ = backend_->allocate(limits_.rows, config_.heads * config_.head_dim);
  gated_ = backend_->allocate(limits_.rows, config_.feed_forward);
  wanted_ = backend_->allocate(limits_.wanted_rows, config_.embedding);
  logits_ = backend_->allocate(limits_.wanted_rows, config_.vocabulary);
}

std::unique_ptr<KvStore> Model::make_kv(int blocks, KvFormat format) const {
  return backend_->allocate_kv({.layers = config_.layers,
                                .kv_heads = config_.kv_heads,
                                .head_dim = config_.head_dim,
                                .blocks = blocks,
                                .format = format});
}

size_t Model::kv_block_bytes(KvFormat format) const {
  const size_t values = size_t{2} * kBlockTokens * config_.kv_heads * config_.head_dim;
  const size_t bytes = format == KvFormat::kF16 ? values * 2 : values + values / 32 * 2;
  return bytes * config_.layers;
}

Tensor Model::forward(const Batch& batch, KvStore& kv) {
  const Tensor x = embed(batch);
  for (int i = 0; i < config_.layers; ++i) {
    attention(i, batch, kv, x);
    feed_forward(weights_.layers[i], x);
  }

  const int wanted_rows = static_cast<int>(batch.wanted.size());
  const Tensor wanted = wanted_.top(wanted_rows), logits = logits_.top(wanted_rows);
  if (wanted_rows == 0) return logits;
  backend_->gather_rows(x, batch.wanted, wanted);
  backend_->rms_norm(wanted, weights_.output_norm, config_.norm_epsilon, wanted);
  backend_->linear(*weights_.output, wanted, {}, logits);
  if (config_.final_soft_cap > 0) backend_->scale_and_cap(1.0f, config_.final_soft_cap, logits);
  return logits;
}

Tensor Model::hidden_states(int first, int count) {
  const Tensor rows{residual_.row(first), count, residual_.columns, residual_.stride};
  const Tensor out = hidden_.top(count);
  backend_->rms_norm(rows, weights_.output_norm, config_.norm_epsilon, out);
  return out;
}

Tensor Model::embed(const Batch& batch) {
  const GgufTensor& table = *weights_.embeddings;
  const uint64_t row_bytes = table.format->row_bytes(config_.embedding);
  embedded_.resize(static_cast<size_t>(batch.rows()) * config_.embedding);
  for (int r = 0; r < batch.rows(); ++r) {
    const std::span<float> row(embedded_.data() + static_cast<size_t>(r) * config_.embedding,
                               config_.embedding);
    table.format->decode(table.bytes.data() + batch.tokens[r] * row_bytes, row);
    if (config_.embedding_scale != 1.0f) {
      for (float& value : row) value *= config_.embedding_scale;
    }
  }
  const Tensor x = residual_.top(batch.rows());
  backend_->upload(embedded_, x);
  return x;
}

// x += W_o attend(rope(norm(W_q h)), rope(norm(W_k h)), W_v h), where h = norm(x)
void Model::attention(int index, const Batch& batch, KvStore& kv, Tensor x) {
  Backend& b = *backend_;
  const LayerWeights& layer = weights_.layers[index];
  const int head_dim = config_.head_dim, q_columns = config_.heads * head_dim,
            kv_columns = config_.kv_heads * head_dim;
  const Tensor h = hidden_.top(x.rows), qkv = qkv_.top(x.rows), attended = attended_.top(x.rows);
  const Tensor q = qkv.slice(0, q_columns), k = qkv.slice(q_columns, kv_columns),
               v = qkv.slice(q_columns + kv_columns, kv_columns);

  b.rms_norm(x, layer.attention_norm, config_.norm_epsilon, h);
  b.linear(*layer.qkv, h, layer.qkv_bias, qkv);
  if (!layer.q_norm.empty()) {
    b.rms_norm(q, layer.q_norm, config_.norm_epsilon, q);
    b.rms_norm(k, layer.k_norm, config_.norm_epsilon, k);
  }
  const bool windowed = config_.is_windowed(index);
  const Rope& rope = windowed ? config_.local_rope : config_.rope;
  b.rope(rope, head_dim, batch.positions, q);
  b.rope(rope, head_dim, batch.positions, k);
  b.write_kv(kv, index, batch.slots, k, v);
  b.attend(kv,
           {.layer = index,
            .heads = config_.heads,
            .scale = config_.attention_scale,
            .soft_cap = config_.attention_soft_cap,
            .window = windowed ? config_.window : 0},
           q, batch.contexts, attended);
  b.linear(*layer.attention_output, attended, layer.attention_output_bias, h);
  if (!layer.post_attention_norm.empty())
    b.rms_norm(h, layer.post_attention_norm, config_.norm_epsilon, h);
  b.add(h, x);
}

// x += W_down (activation(W_gate h) * W_up h), where h = norm(x)  (GLU variants, Shazeer 2020)
void Model::feed_forward(const LayerWeights& layer, Tensor x) {
  Backend& b = *backend_;
  const Tensor h = hidden_.top(x.rows), gated = gated_.top(x.rows);

  b.rms_norm(x, layer.feed_forward_norm, config_.norm_epsilon, h);
  b.linear_gated(*layer.gate_up, h, config_.architecture->activation, gated);
  b.linear(*layer.down, gated, {}, h);
  if (!layer.post_feed_forward_norm.empty())
    b.rms_norm(h, layer.post_feed_forward_norm, config_.norm_epsilon, h);
  b.add(h, x);
}

}  // namespace tessera
