// Writes a model as a Hugging Face folder: config.json, safetensors, tokenizer.json and chat
// template; quantized, if wanted, in a layout that others read.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_writer.h"
#include "files/huggingface/families.h"
#include "files/huggingface/layouts/folder_formats.h"
#include "files/huggingface/rotary_pairs.h"

namespace tessera::huggingface {

// Tensors are declared and given as GGUF defines them (files/gguf/tensor_names.h), in F32, F16,
// BF16 or, of a quantized folder, what its layout has for matrices in layers; the folder has them
// as transformers does: Llama's query and key rows in halves, Gemma's norms without their 1,
// factors of rotary embeddings in config.json.
class FolderWriter final : public CheckpointWriter {
 public:
  // Says what `model` says, which must outlive it. `quantized`: nullptr, or how. Error for a family
  // or a tokenizer that no folder is written for, and for layers of different shapes, which
  // config.json has no words for.
  explicit FolderWriter(const Checkpoint& model, const FolderFormat* quantized = nullptr);
  ~FolderWriter() override;

  void set_fact(std::string_view, uint32_t) override {}  // they are GGUF's
  void set_fact(std::string_view, const std::vector<bool>&) override {}
  void keep_layers(std::span<const int>) override;  // Error
  void declare(std::string name, const Format& format, std::vector<uint64_t> shape) override;
  uint64_t stored_bytes(size_t index) const override { return tensors_[index].stored_bytes(); }
  // Creates the folder `path`; config.json comes last: who finds it finds all.
  void write(const std::filesystem::path& path, const Fill& fill) override;

 private:
  struct Tensor {
    std::string name;  // the folder's; "": it becomes a part of config.json
    TensorPlace place;
    const Format* format;
    std::vector<uint64_t> shape;
    std::vector<LayoutPart> parts;  // in the file: itself, or those of its layout; each expert's

    uint64_t bytes() const;  // as it is given
    uint64_t stored_bytes() const;
  };
  // Of a matrix or a vector under that name.
  std::vector<LayoutPart> parts_of(const std::string& name, const Format& format,
                                   const std::vector<uint64_t>& shape) const;
  struct Parts;  // JSON
  void write_shard(const std::filesystem::path& path, size_t first, size_t end,
                   const Fill& fill) const;
  std::vector<std::byte> adapt(const Tensor& tensor, std::vector<std::byte> bytes) const;
  const Format& stored_format(const Format& declared) const;  // of what is not quantized
  std::string_view torch_dtype() const;                       // of the model's plain matrices

  const FolderFormat* quantized_;
  const Format* plain_;  // of a quantized folder: what all else is in; nullptr: as it is declared
  const Family* family_;
  HeadCounts heads_;  // of every layer
  std::unique_ptr<Parts> parts_;
  std::vector<Tensor> tensors_;
};

}  // namespace tessera::huggingface
