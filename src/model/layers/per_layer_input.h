// Per-layer embeddings (Gemma 3n, 2025; Gemma 4, 2026): beside the residual stream, each layer
// reads a short vector of its own, which a table says of the token and a matrix of its embedding.
//
//   p  = (norm(W x_0 / sqrt(embedding)) + sqrt(n) table[token]) / sqrt(2)    of all layers at once
//   x += norm(W_out (activation(W_gate x) * p_layer))                        in each of them
//
// The table is as large as the rest of the model; a step reads one row a token.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/token.h"
#include "model/config.h"
#include "model/embedding_table.h"
#include "model/layers/norm.h"
#include "model/layers/part.h"

namespace tessera {

// What all layers read.
class PerLayerInputs {
 public:
  // `config` must outlive it.
  PerLayerInputs(const Config& config, Workspace& workspace);

  int columns() const;  // of all layers
  // [vocabulary, columns()], of the checkpoint, which must outlive this.
  void set_table(const Checkpoint& checkpoint, const StoredTensor& table);
  void for_each_tensor(TensorVisitor& visit);
  // Fills Workspace::kPerLayer for the step's rows. x: their embeddings, [rows, embedding].
  void compute(const Step& step, std::span<const Token> tokens, Tensor x);

 private:
  const Config& config_;
  std::optional<EmbeddingTable> table_;
  std::unique_ptr<Matrix> projection_;  // [columns(), embedding]
  Norm norm_;                           // [Config::per_layer_input]
  std::vector<float> rows_;
};

// What one layer makes of it.
class PerLayerInput final : public Part {
 public:
  // `config` must outlive it.
  PerLayerInput(const Config& config, int layer, Workspace& workspace);

  void for_each_tensor(TensorVisitor& visit) override;
  void forward(const Step& step, Tensor x) const override;

 private:
  const Config& config_;
  int layer_;
  std::unique_ptr<Matrix> gate_;    // [Config::per_layer_input, embedding]
  std::unique_ptr<Matrix> output_;  // [embedding, Config::per_layer_input]
  Norm norm_;                       // [embedding]
};

}  // namespace tessera
