// A model as the Hugging Face hub keeps it: a folder with config.json, tokenizer.json and
// safetensors.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "checkpoint/checkpoint.h"
#include "files/huggingface/facts.h"

namespace tessera {

// Memory-mapped. Its tensors are what the transformer wants, as GGUF defines it: norms and biases
// in f32, Llama's query and key rows in pairs; those that the configuration implies are added,
// those of other modalities are left out.
class HuggingFaceFolder final : public Checkpoint {
 public:
  // Throws Error (one line: what, where, what was expected) for anything malformed, for a family or
  // a quantization that is not known, and for a configuration that asks for what Tessera lacks.
  static HuggingFaceFolder open(const std::filesystem::path& folder);

  const Facts& facts() const override { return *facts_; }
  TokenizerData read_tokenizer() const override;
  ChatTemplates read_chat_templates() const override;

  const std::filesystem::path& folder() const { return folder_; }
  const GgufMetadata& metadata() const { return facts_->metadata(); }

 private:
  explicit HuggingFaceFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}
  void add_dense(const std::filesystem::path& path, TensorRole role);
  std::string tensor_name(TensorPlace place) const override;
  TensorPlace tensor_place(std::string_view name) const override;

  std::filesystem::path folder_;
  const huggingface::Family* family_ = nullptr;
  std::unique_ptr<const huggingface::FolderFacts> facts_;
};

// Is `path` a folder with a config.json?
bool is_huggingface_folder(const std::filesystem::path& path);

}  // namespace tessera
