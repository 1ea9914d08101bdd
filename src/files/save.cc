#include "files/save.h"

#include "files/huggingface/folder_writer.h"

namespace tessera {

bool is_folder_name(const std::filesystem::path& path) {
  std::error_code ignored;
  return path.string().ends_with('/') || std::filesystem::is_directory(path, ignored);
}

std::unique_ptr<CheckpointWriter> make_writer(const Checkpoint& model,
                                              const std::filesystem::path& path) {
  if (is_folder_name(path)) return std::make_unique<huggingface::FolderWriter>(model);
  return model.make_writer();
}

}  // namespace tessera
