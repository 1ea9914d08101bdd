#include "files/save.h"

#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "files/gguf/reader.h"
#include "files/gguf/tensor_names.h"
#include "files/gguf/writer.h"
#include "files/gguf_metadata.h"
#include "files/huggingface/folder_writer.h"

namespace tessera {
namespace {

bool is_gguf(const Checkpoint& model) {
  return dynamic_cast<const GgufFile*>(&model) != nullptr;
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
