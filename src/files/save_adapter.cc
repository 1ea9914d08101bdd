#include "files/save_adapter.h"

#include "files/gguf/write_lora.h"
#include "files/huggingface/write_peft.h"

namespace tessera {

bool is_adapter_file(const std::filesystem::path& path) {
  return path.extension() == ".gguf";
}

void check_adapter(const StoredAdapter& adapter, const Checkpoint& model,
                   const std::filesystem::path& path) {
  if (!is_adapter_file(path)) huggingface::check_peft(adapter, model);
}

void save_adapter(const StoredAdapter& adapter, const Checkpoint& model,
                  const std::filesystem::path& path) {
  if (is_adapter_file(path)) return gguf::write_lora(adapter, model, path);
  huggingface::write_peft(adapter, model, path);
}

}  // namespace tessera
