// GGUF, the model file of the llama.cpp world: metadata and tensors in one file or several.
// Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "checkpoint/checkpoint.h"
#include "files/gguf/facts.h"
#include "files/gguf/metadata.h"

namespace tessera {

// A GGUF model, memory-mapped. Opening checks everything that later code relies on: every length,
// count, offset and dimension lies within the real size of the file, names are unique, types known.
class GgufFile final : public Checkpoint {
 public:
  // Opens `path`; if its name ends in -00001-of-0000N.gguf (any member works), all N files.
  // Throws Error (one line: what, where, what was expected) for anything malformed.
  static GgufFile open(const std::filesystem::path& path);

  const Facts& facts() const override { return *facts_; }
  TokenizerData read_tokenizer() const override;
  ChatTemplates read_chat_templates() const override;

  const GgufMetadata& metadata() const { return facts_->metadata(); }
  const StoredTensor* find_tensor(std::string_view name) const;     // nullptr if absent
  const StoredTensor& require_tensor(std::string_view name) const;  // Error if absent
  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }

 private:
  GgufFile() = default;
  std::string tensor_name(TensorPlace place) const override;
  TensorPlace tensor_place(std::string_view name) const override;
  void index_tensors();

  std::unique_ptr<const GgufFacts> facts_;  // owns the metadata
  std::unordered_map<std::string_view, size_t> tensor_index_;
  uint32_t version_ = 0;
  uint64_t alignment_ = 32;
};

}  // namespace tessera
