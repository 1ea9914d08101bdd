#include "files/save.h"

#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/printable.h"
#include "files/gguf/facts.h"
#include "files/gguf/layout.h"
#include "files/gguf/reader.h"
#include "files/gguf/tensor_names.h"
#include "files/gguf/tokenizer.h"
#include "files/gguf/writer.h"
#include "files/huggingface/folder.h"
#include "files/huggingface/folder_writer.h"

namespace tessera {
namespace {

bool is_gguf(const Checkpoint& model) {
  return dynamic_cast<const GgufFile*>(&model) != nullptr;
}

// All that a GGUF file says beside its tensors.
GgufMetadata gguf_metadata(const Checkpoint& model) {
  const auto* facts = dynamic_cast<const GgufFacts*>(&model.facts());
  if (facts == nullptr)
    fail("'{}' cannot be written as GGUF", printable(model.paths().at(0).string(), 400));
  GgufMetadata metadata = facts->metadata();
  // They described the files this metadata was read from.
  for (const auto key : {gguf::kSplitNoKey, gguf::kSplitCountKey, gguf::kSplitTensorsKey})
    metadata.erase(key);
  if (dynamic_cast<const HuggingFaceFolder*>(&model) == nullptr) return metadata;
  // What the folder's int8 was made for, other formats were not: --llm-int8 asks for it.
  metadata.erase("general.llm_int8_threshold");
  // A folder keeps its tokenizer in files of its own.
  const StoredTensor* embedding = model.find({TensorRole::kTokenEmbedding});
  const auto lost = gguf::write_tokenizer(model.read_tokenizer(), model.read_chat_templates(),
                                          metadata, embedding == nullptr ? 0 : embedding->rows());
  for (const std::string& line : lost) spdlog::warn("{}", line);
  return metadata;
}

}  // namespace

bool is_folder_name(const std::filesystem::path& path) {
  std::error_code ignored;
  return path.string().ends_with('/') || std::filesystem::is_directory(path, ignored);
}

std::unique_ptr<CheckpointWriter> make_writer(const Checkpoint& model,
                                              const std::filesystem::path& path,
                                              const FolderFormat* quantized) {
  if (is_folder_name(path)) return std::make_unique<huggingface::FolderWriter>(model, quantized);
  if (quantized != nullptr) {
    fail("{} is a Hugging Face folder: name one to write, with a '/' at its end, not '{}'",
         quantized->name, printable(path.string(), 400));
  }
  return std::make_unique<GgufWriter>(gguf_metadata(model));
}

std::string written_name(const Checkpoint& model, const StoredTensor& tensor) {
  return is_gguf(model) ? tensor.name : written_name(model, tensor, tensor.place.layer);
}

std::string written_name(const Checkpoint& model, const StoredTensor& tensor, int layer) {
  const std::string architecture = model.facts().require_string("general.architecture");
  const std::string name = gguf::tensor_name({tensor.place.role, layer}, architecture);
  if (name.empty())
    fail("tensor '{}' has no place in {} models", printable(tensor.name), architecture);
  return name;
}

}  // namespace tessera
