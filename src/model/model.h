// The transformer.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "backend/backend.h"
#include "base/thread_pool.h"
#include "checkpoint/checkpoint.h"
#include "model/batch.h"
#include "model/config.h"
#include "model/embedding_table.h"
#include "model/layers/layer.h"
#include "model/lora.h"
#include "model/pooled_dense.h"
#include "model/shortcuts.h"
#include "model/taps.h"

namespace tessera {

class Loader;

class Model {
 public:
  struct Limits {
    int context = 0;       // 0: what the model was trained for
    int rows = 512;        // of one batch
    int wanted_rows = 64;  // of one batch whose logits are wanted
  };

  using Shortcuts = ModelShortcuts;

  // The checkpoint stays open: embeddings are read from it. Throws Error if it holds no model.
  Model(std::shared_ptr<const Checkpoint> checkpoint, std::shared_ptr<Backend> backend,
        Limits limits, const std::function<void(size_t done, size_t total)>& on_progress = {},
        Shortcuts shortcuts = {});

  Model(const Model&) = delete;  // its parts refer to it
  Model& operator=(const Model&) = delete;

  const Config& config() const { return config_; }
  const Limits& limits() const { return limits_; }
  // Of a row: the vocabulary, or its first tokens. None if the model only embeds texts.
  int logits() const { return output_ == nullptr ? 0 : output_->rows; }
  // Error if there are none.
  void require_logits() const;
  Backend& backend() const { return *backend_; }
  size_t weight_bytes() const { return weight_bytes_; }
  // `states`: of recurrent layers, each behind one token of a text.
  std::unique_ptr<KvStore> make_kv(int blocks, KvFormat format, int states = 0) const;
  // What one block of such a store takes.
  size_t kv_block_bytes(KvFormat format) const;
  // What one state takes; 0: no layer is recurrent.
  size_t state_bytes() const;

  // Loads an adapter for this model's matrices, which rows of a batch may go through from now on;
  // returns its number, from 0 on. Error if the model lacks one of its matrices.
  int add_adapter(const StoredAdapter& stored);
  int adapters() const { return static_cast<int>(adapters_.size()); }
  // Those that texts go through of which nothing else is said.
  const AdapterMix& default_adapters() const { return default_adapters_; }
  void set_default_adapters(AdapterMix mix) { default_adapters_ = std::move(mix); }

  // Runs the batch, writes its keys and values, and returns the logits of its wanted rows:
  // [batch.wanted.size(), logits()], valid until the next call. The batch is within limits(), but
  // of a bidirectional model it may hold one text of any length.
  // `taps` read activations on the way.
  Tensor forward(const Batch& batch, KvStore& kv, std::span<const Tap> taps = {});
  // Keeps states behind nodes of trees that the last forward() went through, now that it is known
  // which of them count.
  void keep_states(KvStore& kv, std::span<const StatePath> paths);
  // The final hidden states, normalized, of rows [first, first + count) of the batch that forward()
  // ran last: [count, embedding], valid until the next call.
  Tensor hidden_states(int first, int count);

  // The embedding that becomes of a text's pooled hidden states.
  void embed_pooled(std::vector<float>& pooled) { pooled_dense_.apply(*backend_, pooled); }

  // logits = what the output matrix makes of such hidden states: [rows, logits()].
  void project(Tensor hidden, Tensor logits, std::span<const LowRankRows> added = {});

  // Tells of every tensor but the embeddings, which stay in the checkpoint.
  void for_each_tensor(TensorVisitor& visit);

 private:
  void load(const std::function<void(size_t done, size_t total)>& on_progress);
  Tensor embed(const Batch& batch);
  void mark_unused(Loader& loader) const;
  Tensor logits_of(Tensor x, const Batch& batch);

  std::shared_ptr<const Checkpoint> checkpoint_;
  std::shared_ptr<Backend> backend_;
  Limits limits_;
  Shortcuts shortcuts_;
  Config config_;

  std::optional<EmbeddingTable> embeddings_;
  std::optional<EmbeddingTable> positions_;  // of families that learned them
  std::optional<EmbeddingTable> token_types_;
  std::optional<PerLayerInputs> per_layer_inputs_;
  Norm embedding_norm_;  // [embedding], of those that have one
  RopeTables ropes_;     // of config_.ropes
  std::vector<Layer> layers_;
  Norm output_norm_;                // [embedding], of those that have one
  std::unique_ptr<Matrix> output_;  // [logits, embedding]; repacked from the embeddings if tied;
                                    // nullptr: the model embeds texts
  std::unique_ptr<Vector> output_bias_;  // [logits]; nullptr: none
  PooledDense pooled_dense_;
  size_t weight_bytes_ = 0;  // of all matrices

  std::vector<std::unique_ptr<LoraAdapter>> adapters_;
  AdapterMix default_adapters_;

  Workspace workspace_;
  int most_rows_ = 0;       // of a batch: limits_.rows, or a whole text
  Tensor residual_;         // of most_rows_ rows
  Tensor wanted_, logits_;  // of limits_.wanted_rows rows
  std::vector<float> embedded_;
};

}  // namespace tessera
