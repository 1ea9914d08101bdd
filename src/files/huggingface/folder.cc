#include "files/huggingface/folder.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/printable.h"
#include "checkpoint/role_kinds.h"
#include "files/huggingface/config_reader.h"
#include "files/huggingface/experts.h"
#include "files/huggingface/fused_experts.h"
#include "files/huggingface/json_file.h"
#include "files/huggingface/latent_attention.h"
#include "files/huggingface/layouts/layouts.h"
#include "files/huggingface/layouts/raw_tensors.h"
#include "files/huggingface/llama4_layers.h"
#include "files/huggingface/next_token_layers.h"
#include "files/huggingface/recurrent_layers.h"
#include "files/huggingface/rotary_pairs.h"
#include "files/huggingface/row_scales.h"
#include "files/huggingface/row_sources.h"
#include "files/huggingface/sentence_transformers.h"
#include "files/huggingface/shards.h"
#include "files/huggingface/tensor_names.h"
#include "files/huggingface/tokenizer.h"
#include "files/safetensors/parse.h"

namespace tessera {
namespace {

using namespace huggingface;
namespace fs = std::filesystem;

std::string name_of(const fs::path& folder) {
  std::error_code ignored;
  const fs::path absolute = fs::weakly_canonical(folder, ignored);
  return (absolute.has_filename() ? absolute : absolute.parent_path()).filename().string();
}

// Of a checkpoint that bitsandbytes quantized to 8 bits.
std::optional<double> llm_int8_threshold(const nlohmann::json& config) {
  const nlohmann::json* quantization = ConfigReader(config).object("quantization_config");
  if (quantization == nullptr) return std::nullopt;
  const ConfigReader from(*quantization);
  if (from.text("quant_method") != "bitsandbytes" || from.boolean("load_in_8bit") != true)
    return std::nullopt;
  return from.number("llm_int8_threshold").value_or(6.0);
}

void check_names(const fs::path& folder, const Shards& shards, const RawTensors& tensors) {
  for (const std::string& name : shards.names) {
    if (tensors.find(name) == nullptr)
      fail("'{}': the index names tensor '{}', which no file holds", shown(folder),
           printable(name));
  }
}

// Gives them the names that they have in other folders, and tells how many there are.
void take_next_token_layers(std::vector<StoredTensor>& tensors, ModelConfig& said) {
  std::vector<std::string> names;
  for (StoredTensor& tensor : tensors) {
    tensor.name = numbered_next_token_name(tensor.name, said.layers);
    names.push_back(tensor.name);
  }
  add_next_token_layers(said, count_next_token_layers(names, said.layers));
}

// Makes of a folder's tensors those of GGUF's definition of the same family.
class Adaptation {
 public:
  explicit Adaptation(const ModelConfig& config) : config_(config) {}

  StoredTensor operator()(const StoredTensor& stored, TensorRole role) const {
    StoredTensor tensor = scale_rows(rearrange(stored, role), role, config_.row_scales);
    const bool is_vector = tensor.shape.size() == 1;
    const uint64_t rows = is_vector ? tensor.columns() : tensor.rows();
    // Where config.json does not say how many heads there are, loading tells that it is missing.
    const uint64_t head_dim =
        config_.heads == 0 ? 0
                           : paired_head_dim(*config_.family, role,
                                             {config_.heads, config_.kv_heads}, rows, tensor.name);
    if (is_vector) return adapt_vector(tensor, role, head_dim);
    return head_dim > 0 ? pair_rows(tensor, head_dim) : tensor;
  }

 private:
  // What another order of the rows or another axis needs.
  StoredTensor rearrange(const StoredTensor& tensor, TensorRole role) const {
    using enum TensorRole;
    const Family& family = *config_.family;
    if (family.unused_positions > 0 && role == kPositionEmbedding)
      return skip_rows(tensor, static_cast<uint64_t>(family.unused_positions));
    const bool is_qkv = role == kQueryKeyValue || role == kQueryKeyValueBias;
    if (family.qkv_by_head && is_qkv && tensor.format->supported() && config_.heads > 0)
      return group_by_kind(tensor, {config_.heads, config_.kv_heads});
    if (family.recurrent != RecurrentStyle::kNone)
      return adapt_recurrent(tensor, role, config_.recurrent);
    const bool is_matrix =
        role == kQueryKeyValue || role == kAttentionOutput || role == kUp || role == kDown;
    return family.transposed && is_matrix ? transpose(tensor) : tensor;
  }

  StoredTensor adapt_vector(const StoredTensor& tensor, TensorRole role, uint64_t head_dim) const {
    if (!tensor.format->supported() || tensor.elements() > kMostElements)
      return tensor;  // see loading
    std::vector<float> values(tensor.columns());
    tensor.decode(0, 1, values);
    if (config_.family->norms_add_one && is_norm(role) && role != TensorRole::kRecurrentNorm) {
      for (float& value : values) value += 1;
    }
    if (head_dim == 0) return make_vector(tensor, std::move(values));
    std::vector<float> paired(values.size());
    for (size_t i = 0; i < values.size(); ++i) paired[i] = values[row_in_halves(i, head_dim)];
    return make_vector(tensor, std::move(paired));
  }

  static constexpr uint64_t kMostElements = 1 << 24;  // vectors are held in memory

  const ModelConfig& config_;
};

}  // namespace

HuggingFaceFolder HuggingFaceFolder::open(const fs::path& folder) {
  HuggingFaceFolder model(folder);
  const fs::path config_path = folder / "config.json";
  const nlohmann::json whole = read_json(config_path);
  const nlohmann::json config = in_file(config_path, [&] { return text_part(whole); });
  ModelConfig said = in_file(config_path, [&] { return read_config(config, name_of(folder)); });
  const fs::path generation_path = folder / "generation_config.json";
  if (const auto generation = find_json(generation_path))
    in_file(generation_path, [&] { read_generation_config(*generation, said.metadata); });
  model.family_ = said.family;
  if (const auto threshold = in_file(config_path, [&] { return llm_int8_threshold(config); }))
    said.metadata.set("general.llm_int8_threshold", {static_cast<float>(*threshold)});

  const EmbeddingModules modules = read_embedding_modules(folder);
  if (modules.pooling)
    said.metadata.set(std::string(said.family->architecture) + ".pooling_type", {*modules.pooling});
  if (modules.dense.size() > (said.family->pooled_dense ? 2 : 0)) {
    fail("'{}': {} modules of the type Dense are not supported in {} models", shown(folder),
         modules.dense.size(), said.family->model_type);
  }

  const Shards shards = find_shards(folder);
  RawTensors raw;
  for (size_t i = 0; i < shards.paths.size(); ++i) {
    const fs::path& path = shards.paths[i];
    safetensors::Metadata beside;
    auto tensors = safetensors::parse(model.add_file(path).bytes(), path.string(), &beside);
    raw.add_metadata(beside);
    for (StoredTensor& tensor : tensors) {
      tensor.file_index = i;
      in_file(path, [&] { raw.add(std::move(tensor)); });
    }
  }
  check_names(folder, shards, raw);
  size_t ignored = 0;
  for (const std::string& name : raw.names()) {
    if (!is_ignored(*said.family, name)) continue;
    raw.drop(name);
    ++ignored;
  }
  if (ignored > 0)
    spdlog::info("{} tensors of other modalities or tasks, or that are of no use, are left out",
                 ignored);
  const auto quantization = find_json(folder / "hf_quant_config.json");
  in_file(folder, [&] {
    apply_layouts(config, quantization ? &*quantization : nullptr, raw);
    const Adaptation adapt(said);
    std::vector<StoredTensor> taken = raw.take_all();
    if (said.family->next_token_layers) take_next_token_layers(taken, said);
    std::vector<StoredTensor> tensors = stack_experts(std::move(taken));
    if (said.family->llama4_layers) tensors = split_llama4_experts(std::move(tensors));
    if (said.family->fused_experts) tensors = split_fused_experts(std::move(tensors));
    if (said.family->latent_attention) {
      tensors = split_latents(std::move(tensors), static_cast<uint64_t>(said.heads),
                              static_cast<uint64_t>(said.latent_key));
    }
    tensors = split_recurrent(std::move(tensors), said.recurrent);
    if (said.family->shared_mlp) tensors = split_shared_mlp(std::move(tensors));
    for (StoredTensor& tensor : tensors) {
      const TensorPlace place = model.tensor_place(tensor.name);
      if (place.role == TensorRole::kOutput && said.tied == true) continue;
      model.add_tensor(adapt(std::move(tensor), place.role));
    }
  });
  for (size_t i = 0; i < modules.dense.size(); ++i) {
    const TensorRole role = i == 0 ? TensorRole::kDense2 : TensorRole::kDense3;
    model.add_dense(modules.dense[i], role);
    // Other readers of GGUF want to be told.
    const StoredTensor& tensor = model.require({role});
    const std::string prefix = fmt::format("{}.dense_{}_feat_", said.family->architecture, i + 2);
    said.metadata.set(prefix + "in", {static_cast<uint32_t>(tensor.columns())});
    said.metadata.set(prefix + "out", {static_cast<uint32_t>(tensor.rows())});
  }
  for (const auto& [role, factors] :
       {std::pair(TensorRole::kRopeFactors, &said.rope_factors),
        std::pair(TensorRole::kRopeFactorsLong, &said.rope_factors_long),
        std::pair(TensorRole::kRopeFactorsShort, &said.rope_factors_short)}) {
    if (factors->empty()) continue;
    StoredTensor tensor;
    tensor.name = model.tensor_name({role});
    model.add_tensor(make_vector(tensor, *factors));
  }
  if (said.tied == false && !said.family->bidirectional &&
      model.find({TensorRole::kOutput}) == nullptr) {
    fail("'{}': tensor '{}' is missing, and config.json says that it is not tied to the embedding",
         shown(folder), model.tensor_name({TensorRole::kOutput}));
  }
  const TensorPlace query_norm{TensorRole::kQueryNorm, 0};
  if (said.qk_norm && *said.qk_norm != (model.find(query_norm) != nullptr)) {
    fail("'{}': tensor '{}' is {}, and config.json says that use_qk_norm is {}", shown(folder),
         model.tensor_name(query_norm), *said.qk_norm ? "missing" : "there", *said.qk_norm);
  }
  model.facts_ =
      std::make_unique<const FolderFacts>(std::move(said.metadata), std::move(said.keys));
  return model;
}

// A module's one tensor, "linear.weight".
void HuggingFaceFolder::add_dense(const fs::path& path, TensorRole role) {
  const size_t file_index = paths().size();
  for (StoredTensor& tensor : safetensors::parse(add_file(path).bytes(), path.string())) {
    if (tensor.name != "linear.weight")
      fail("'{}': tensor '{}' is not supported, expected only 'linear.weight'", shown(path),
           printable(tensor.name));
    tensor.name = tensor_name({role});
    tensor.file_index = file_index;
    add_tensor(std::move(tensor));
  }
}

TokenizerData HuggingFaceFolder::read_tokenizer() const {
  return huggingface::read_tokenizer(folder_);
}

ChatTemplates HuggingFaceFolder::read_chat_templates() const {
  return huggingface::read_chat_templates(folder_);
}

std::string HuggingFaceFolder::tensor_name(TensorPlace place) const {
  return huggingface::tensor_name(*family_, place);
}

TensorPlace HuggingFaceFolder::tensor_place(std::string_view name) const {
  return huggingface::tensor_place(*family_, name);
}

bool is_huggingface_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) && fs::exists(path / "config.json", ignored);
}

}  // namespace tessera
