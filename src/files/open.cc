#include "files/open.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "files/gguf/reader.h"
#include "files/huggingface/folder.h"
#include "files/huggingface/peft.h"
#include "files/huggingface/shards.h"
#include "files/model_reference.h"
#include "files/safetensors/medusa.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

// Is this safetensors file one of those of the folder that it lies in?
bool is_of_folder(const fs::path& path) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : ".";
  if (!is_huggingface_folder(folder) || !huggingface::names_a_model(folder)) return false;
  const auto shards = huggingface::find_shards(folder);
  return std::ranges::any_of(
      shards.paths, [&](const fs::path& shard) { return shard.filename() == path.filename(); });
}

std::shared_ptr<const Checkpoint> open_folder(const fs::path& folder) {
  if (is_huggingface_folder(folder))
    return std::make_shared<const HuggingFaceFolder>(HuggingFaceFolder::open(folder));
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  const std::string shown = printable(folder.string(), 400);
  if (find_ggufs(names).empty()) fail("'{}' is a folder without config.json or a GGUF file", shown);
  return open_checkpoint(folder / choose_gguf(names, shown));
}

}  // namespace

std::shared_ptr<const Checkpoint> open_checkpoint(const fs::path& path) {
  if (huggingface::is_peft(path)) {
    fail("'{}' is a LoRA adapter: give it with --lora to the model that it is for",
         printable(path.string(), 400));
  }
  if (std::error_code ignored; fs::is_directory(path, ignored)) return open_folder(path);
  constexpr auto kPickles =
      std::to_array<std::string_view>({".pt", ".pth", ".bin", ".ckpt", ".pkl"});
  const std::string extension = path.extension().string();
  if (std::ranges::find(kPickles, extension) != kPickles.end()) {
    fail(
        "'{}' looks like a PyTorch pickle, which may run any code and is never opened; expected "
        "GGUF or safetensors",
        printable(path.string(), 400));
  }
  const fs::path folder = path.has_parent_path() ? path.parent_path() : ".";
  if (path.filename().string().ends_with(".safetensors.index.json")) return open_folder(folder);
  if (extension == ".safetensors") {
    if (is_of_folder(path)) return open_folder(folder);
    return std::make_shared<const MedusaFile>(MedusaFile::open(path));
  }
  return std::make_shared<const GgufFile>(GgufFile::open(path));
}

}  // namespace tessera
