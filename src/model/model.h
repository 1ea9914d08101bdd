// The transformer.
#pragma once

#include <functional>
#include <memory>

#include "backend/backend.h"
#include "files/gguf.h"
#include "model/batch.h"
#include "model/config.h"
#include "model/weights.h"

namespace tessera {

class Model {
 public:
  struct Limits {
    int context = 0;       // 0: what the model was trained for
    int rows = 512;        // of one batch
    int wanted_rows = 64;  // of one batch whose logits are wanted
  };

  // The file is kept open: embeddings are read from it. Throws Error if it does not hold a model.
  Model(std::shared_ptr<const GgufFile> file, std::shared_ptr<Backend> backend, Limits limits,
        const std::function<void(size_t done, size_t total)>& on_progress = {});

  const Config& config() const { return config_; }
  const Limits& limits() const { return limits_; }
  const GgufFile& file() const { return *file_; }
  Backend& backend() const { return *backend_; }
  size_t weight_bytes() const { return weights_.bytes; }
  std::unique_ptr<KvStore> make_kv(int blocks, KvFormat format) const;
  // What one block of such a store takes, but for the padding of odd head sizes.
  size_t kv_block_bytes(KvFormat format) const;

  // Runs the batch, writes its keys and values, and returns the logits of its wanted rows:
  // [batch.wanted.size(), vocabulary], valid until the next call. The batch is within limits().
  Tensor forward(const Batch& batch, KvStore& kv);
  // The final hidden states, normalized, of rows [first, first + count) of the batch that forward()
  // ran last: [count, embedding], valid until the next call.
  Tensor hidden_states(int first, int count);

 private:
  Tensor embed(const Batch& batch);
  void attention(int index, const Batch& batch, KvStore& kv, Tensor x);
  void feed_forward(const LayerWeights& layer, Tensor x);

  std::shared_ptr<const GgufFile> file_;
  std::shared_ptr<Backend> backend_;
  Limits limits_;
  Config config_;
  Weights weights_;
  // Activations, of limits_.rows rows.
  Tensor residual_, hidden_, qkv_, attended_, gated_;
  Tensor wanted_, logits_;  // of limits_.wanted_rows rows
  std::vector<float> embedded_;
};

}  // namespace tessera
