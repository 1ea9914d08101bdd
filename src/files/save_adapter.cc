#include "files/save_adapter.h"

#include "files/gguf/write_lora.h"
#include "files/huggingface/write_peft.h"

namespace tessera {

void save_adapter(const StoredAdapter& adapter, const Checkpoint& model,
                  const std::filesystem::path& path) {
  if (path.extension() == ".gguf") return gguf::write_lora(adapter, model, path);
  huggingface::write_peft(adapter, model, path);
}

}  // namespace tessera
