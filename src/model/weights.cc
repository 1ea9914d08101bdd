#include "model/weights.h"

#include <initializer_list>
#include <string>
#include <unordered_set>

#include "base/error.h"

namespace tessera {
namespace {

// Takes tensors out of a file by name, checks them, and remembers which were taken.
class Loader {
 public:
  Loader(const GgufFile& file, Backend& backend,
         const std::function<void(size_t, size_t)>& on_progress)
      : file_(file), backend_(backend), on_progress_(on_progress) {}

  bool has(const std::string& name) const { return file_.find_tensor(name) != nullptr; }

  const GgufTensor& take(const std::string& name, int64_t columns, int64_t rows) {
    const GgufTensor& tensor = file_.require_tensor(name);
    if (static_cast<int64_t>(tensor.columns()) != columns ||
        static_cast<int64_t>(tensor.rows()) != rows) {
      fail("tensor '{}' is {} x {}, expected {} x {}", name, tensor.columns(), tensor.rows(),
           columns, rows);
    }
    if (!tensor.format->supported()) {
      fail("tensor '{}' has format {}, which is not supported yet", name, tensor.format->name);
    }
    taken_.insert(name);
    if (on_progress_) on_progress_(taken_.size(), file_.tensors().size());
    return tensor;
  }

  std::vector<float> vector(const std::string& name, int64_t size) {
    const GgufTensor& tensor = take(name, size, 1);
    std::vector<float> values(size);
    tensor.format->decode(tensor.bytes.data(), values);
    return values;
  }
  std::vector<float> optional_vector(const std::string& name, int64_t size) {
    return has(name) ? vector(name, size) : std::vector<float>{};
  }

  struct Part {
    std::string name;
    int rows;
  };
  // One matrix of several tensors, stacked by rows.
  std::unique_ptr<Matrix> matrix(std::initializer_list<Part> parts, int columns) {
    std::vector<Backend::WeightPart> weight_parts;
    for (const Part& part : parts) {
      const GgufTensor& tensor = take(part.name, columns, part.rows);
      weight_parts.push_back(part_of(tensor, tensor.bytes, part.rows));
    }
    return backend_.load_matrix(weight_parts, columns);
  }
  // One matrix whose parts are the halves of one tensor.
  std::unique_ptr<Matrix> halves(const std::string& name, int rows, int columns) {
    const GgufTensor& tensor = take(name, columns, 2 * rows);
    const size_t bytes = tensor.bytes.size() / 2;
    const Backend::WeightPart parts[] = {part_of(tensor, tensor.bytes.first(bytes), rows),
                                         part_of(tensor, tensor.bytes.subspan(bytes), rows)};
    return backend_.load_matrix(parts, columns);
  }

  void mark_taken(std::string name) { taken_.insert(std::move(name)); }

  void require_all_taken() const {
    for (const GgufTensor& tensor : file_.tensors()) {
      if (!taken_.contains(tensor.name))
        fail("tensor '{}' has no place in this architecture", tensor.name);
    }
  }

 private:
  Backend::WeightPart part_of(const GgufTensor& tensor, std::span<const std::byte> bytes,
                              int rows) {
    const auto on_read = [this, &tensor](std::span<const std::byte> read) {
      file_.release(tensor, read);  // the repacked copy is all we need
    };
    return {tensor.format, bytes, rows, on_read};
  }

  const GgufFile& file_;
  Backend& backend_;
  const std::function<void(size_t, size_t)>& on_progress_;
  std::unordered_set<std::string> taken_;
};

LayerWeights load_layer(Loader& loader, const Config& config, int index) {
  const Architecture& architecture = *config.architecture;
  const auto name = [&](std::string_view part) { return fmt::format("blk.{}.{}", index, part); };
  const int q_rows = config.heads * config.head_dim, kv_rows = config.kv_heads * config.head_dim;

  LayerWeights layer;
  layer.attention_norm = loader.vector(name("attn_norm.weight"), config.embedding);
  if (architecture.fused_qkv) {
    layer.qkv = loader.matrix({{name("attn_qkv.weight"), q_rows + 2 * kv_rows}}, config.embedding);
    layer.qkv_bias = loader.optional_vector(name("attn_qkv.bias"), q_rows + 2 * kv_rows);
  } else {
    layer.qkv = loader.matrix({{name("attn_q.weight"), q_rows},
                               {name("attn_k.weight"), kv_rows},
                               {name("attn_v.weight"), kv_rows}},
                              config.embedding);
    if (architecture.qkv_bias || loader.has(name("attn_q.bias"))) {
      layer.qkv_bias = loader.vector(name("attn_q.bias"), q_rows);
      for (const char* part : {"attn_k.bias", "attn_v.bias"}) {
        const auto bias = loader.vector(name(part), kv_rows);
        layer.qkv_bias.insert(layer.qkv_bias.end(), bias.begin(), bias.end());
      }
    }
  }
  if (architecture.qk_norm) {
    layer.q_norm = loader.vector(name("attn_q_norm.weight"), config.head_dim);
    layer.k_norm = loader.vector(name("attn_k_norm.weight"), config.head_dim);
  }
  layer.attention_output = loader.matrix({{name("attn_output.weight"), config.embedding}}, q_rows);
  layer.attention_output_bias = loader.optional_vector(name("attn_output.bias"), config.embedding);

  layer.feed_forward_norm = loader.vector(name("ffn_norm.weight"), config.embedding);
  if (architecture.post_norms) {
    layer.post_attention_norm = loader.vector(name("post_attention_norm.weight"), config.embedding);
    layer.post_feed_forward_norm = loader.vector(name("post_ffw_norm.weight"), config.embedding);
  }
  if (architecture.fused_gate_up) {
    layer.gate_up = loader.halves(name("ffn_up.weight"), config.feed_forward, config.embedding);
  } else {
    layer.gate_up = loader.matrix({{name("ffn_gate.weight"), config.feed_forward},
                                   {name("ffn_up.weight"), config.feed_forward}},
                                  config.embedding);
  }
  layer.down = loader.matrix({{name("ffn_down.weight"), config.embedding}}, config.feed_forward);

  layer.qkv->name = "qkv";
  layer.attention_output->name = "attention output";
  layer.gate_up->name = "gate, up";
  layer.down->name = "down";
  return layer;
}

}  // namespace

Weights load_weights(const GgufFile& file, const Config& config, Backend& backend,
                     const std::function<void(size_t, size_t)>& on_progress) {
  Loader loader(file, backend, on_progress);
  Weights weights;
  weights.embeddings = &loader.take("token_embd.weight", config.embedding, config.vocabulary);
  for (int i = 0; i < config.layers; ++i) weights.layers.push_back(load_layer(loader, config, i));
  weights.output_norm = loader.vector("output_norm.weight", config.embedding);
  const char* output = loader.has("output.weight") ? "output.weight" : "token_embd.weight";
  weights.output = loader.matrix({{output, config.vocabulary}}, config.embedding);
  weights.output->name = "logits";

  for (const char* rope_factors :
       {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"}) {
    loader.mark_taken(rope_factors);  // read_rope has them
  }
  loader.require_all_taken();

  for (const LayerWeights& layer : weights.layers) {
    weights.bytes +=
        layer.qkv->bytes + layer.attention_output->bytes + layer.gate_up->bytes + layer.down->bytes;
  }
  weights.bytes += weights.output->bytes;
  return weights;
}

}  // namespace tessera
