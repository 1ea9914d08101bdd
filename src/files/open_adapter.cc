#include "files/open_adapter.h"

#include "base/error.h"
#include "base/printable.h"
#include "files/gguf/lora.h"
#include "files/huggingface/peft.h"
#include "files/model_reference.h"

namespace tessera {

namespace fs = std::filesystem;

namespace {

fs::path find_file(const fs::path& reference) {
  const std::string text = reference.string();
  std::error_code ignored;
  const bool is_path = fs::exists(reference, ignored) || !(is_url(text) || is_hub_reference(text));
  return is_path ? reference : resolve_model(text);
}

}  // namespace

StoredAdapter open_adapter(const fs::path& reference, const Checkpoint& model) {
  const fs::path path = find_file(reference);
  const std::string shown = printable(path.string(), 400);
  std::error_code ignored;
  if (!fs::exists(path, ignored)) fail("'{}' is missing", shown);
  const std::string extension = path.extension().string();
  const bool is_folder = fs::is_directory(path, ignored);
  if (is_folder && !huggingface::is_peft_folder(path))
    fail("'{}' is a folder without adapter_config.json: it holds no LoRA adapter", shown);
  if (extension == ".bin" || extension == ".pt" || extension == ".pth") {
    fail(
        "'{}' looks like a PyTorch pickle, which may run any code and is never opened; expected "
        "safetensors or GGUF",
        shown);
  }
  if (is_folder || extension == ".safetensors") {
    StoredAdapter adapter = huggingface::open_peft(path, model);
    try {
      check_fits(adapter, model);
    } catch (const Error& error) {
      const fs::path file = is_folder ? path / "adapter_model.safetensors" : path;
      fail("'{}': {}", printable(file.string(), 400), error.what());
    }
    adapter.name = adapter_name(reference);
    return adapter;
  }
  try {
    StoredAdapter adapter = gguf::open_lora(path, model);
    check_fits(adapter, model);
    adapter.name = adapter_name(reference);
    return adapter;
  } catch (const Error& error) {
    if (std::string_view(error.what()).starts_with("'" + shown)) throw;
    fail("'{}': {}", shown, error.what());
  }
}

std::string adapter_name(const fs::path& path) {
  fs::path name = path.lexically_normal();
  if (!name.has_filename()) name = name.parent_path();
  if (name.filename() == "adapter_model.safetensors" && name.has_parent_path())
    name = name.parent_path();
  if (name.filename() == "." || name.filename() == ".." || name.filename().empty()) {
    std::error_code ignored;
    name = fs::weakly_canonical(path, ignored);
    if (!name.has_filename()) name = name.parent_path();
  }
  const std::string extension = name.extension().string();
  return (extension == ".gguf" || extension == ".safetensors" ? name.stem() : name.filename())
      .string();
}

}  // namespace tessera
