// A model of which one layer is in memory at a time: for work that takes a whole text through one
// layer before it turns to the next (calibration), and may change the layer on the way.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/config.h"
#include "model/embedding_table.h"
#include "model/layers/layer.h"
#include "model/layers/per_layer_input.h"
#include "model/loader.h"

namespace tessera {

class LayerByLayer {
 public:
  // `rows`: of the longest text; `texts`: how many are told apart (Text::number). Throws Error if
  // the checkpoint holds no model, or the model's context holds fewer rows.
  LayerByLayer(std::shared_ptr<const Checkpoint> checkpoint, std::shared_ptr<Backend> backend,
               int rows, int texts = 1);
  LayerByLayer(const LayerByLayer&) = delete;  // its parts refer to it
  LayerByLayer& operator=(const LayerByLayer&) = delete;

  const Config& config() const { return config_; }
  int layers() const { return static_cast<int>(config_.layers.size()); }

  // What the tokens of a text bring to the first layer, which adds what their positions do:
  // [tokens, embedding]. By another table, if one is given.
  void embed(std::span<const Token> tokens, std::span<float> x,
             const StoredTensor* instead = nullptr);
  // Replaces the layer that was loaded. Tensors that `instead` knows are loaded as it says.
  void load(int layer, const Loader::Instead& instead = {});
  // What layers read beside what the one before has made, in families where reads_text(): tokens
  // (per-layer inputs), and the keys and values of an earlier layer, which are those of the text's
  // last way through it.
  struct Text {
    std::span<const Token> tokens = {};
    int number = 0;
  };
  bool reads_text() const { return per_layer_inputs_ || config_.layers.back().shares_kv; }
  // Takes a text, from its first position on, through the loaded layer. x: [rows, embedding], what
  // the layer before made of it, becomes what this one makes of it. `taps` are of this layer.
  // Throws Error without a text if the family reads it.
  void forward(std::span<float> x, const Text& text, std::span<const Tap> taps = {});
  void forward(std::span<float> x) { forward(x, {}); }

  // Loads what follows the last layer, beside the layer that is loaded.
  void load_output(const Loader::Instead& instead = {});
  // The logits of at most kLogitRows rows that the last layer made: [rows, vocabulary], valid until
  // the next call. x: [rows, embedding].
  static constexpr int kLogitRows = 32;
  HostRows logits(std::span<const float> x);

 private:
  bool shares_kv(int layer) const;
  void read_text(const Step& step, std::span<const Token> tokens, Tensor residual);

  std::shared_ptr<const Checkpoint> checkpoint_;
  std::shared_ptr<Backend> backend_;
  Config config_;
  std::optional<EmbeddingTable> embeddings_, positions_;
  Norm embedding_norm_;
  Workspace workspace_;
  std::optional<PerLayerInputs> per_layer_inputs_;
  std::optional<Layer> layer_;  // the one that is loaded,
  int loaded_ = 0;              // and its number
  RopeTables ropes_;
  std::unique_ptr<KvStore> kv_;
  std::vector<std::vector<int32_t>> block_tables_;  // of each text
  Tensor residual_;                                 // [rows, embedding]
  Norm output_norm_;
  std::unique_ptr<Matrix> output_;  // nullptr: not loaded
  std::unique_ptr<Vector> output_bias_;
  Tensor normalized_, logits_;  // of kLogitRows rows
};

}  // namespace tessera
