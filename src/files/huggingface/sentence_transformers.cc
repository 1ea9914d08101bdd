#include "files/huggingface/sentence_transformers.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/config_reader.h"
#include "files/huggingface/json_file.h"

namespace tessera::huggingface {
namespace {

namespace fs = std::filesystem;

struct PoolingMode {
  std::string_view flag, name;  // "pooling_mode_mean_tokens": true, or "pooling_mode": "mean"
  uint32_t number;              // GGUF's; 0: not supported
};
constexpr auto kPoolingModes = std::to_array<PoolingMode>({
    {"pooling_mode_mean_tokens", "mean", 1},
    {"pooling_mode_cls_token", "cls", 2},
    {"pooling_mode_lasttoken", "lasttoken", 3},
    {"pooling_mode_max_tokens", "max", 0},
    {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", 0},
    {"pooling_mode_weightedmean_tokens", "weightedmean", 0},
});

// Several at once make one long vector of all.
uint32_t read_pooling(const nlohmann::json& config) {
  const ConfigReader from(config);
  const PoolingMode* found = nullptr;
  const auto take = [&](const PoolingMode& mode) {
    if (found != nullptr)
      fail("poolings of '{}' and of '{}' together are not supported", found->name, mode.name);
    found = &mode;
  };
  if (const auto name = from.text("pooling_mode")) {
    for (const PoolingMode& mode : kPoolingModes)
      if (mode.name == *name) take(mode);
    if (found == nullptr)
      fail("key 'pooling_mode': '{}' is not supported, expected mean, cls or lasttoken",
           printable(*name));
  } else {
    for (const PoolingMode& mode : kPoolingModes)
      if (from.boolean(mode.flag).value_or(false)) take(mode);
    if (found == nullptr) fail("it asks for no pooling, expected that of mean, cls or lasttoken");
  }
  if (found->number == 0)
    fail("the pooling '{}' is not supported, expected mean, cls or lasttoken", found->name);
  return found->number;
}

void check_dense(const nlohmann::json& config) {
  const ConfigReader from(config);
  if (from.boolean("bias").value_or(true)) fail("key 'bias': true is not supported");
  constexpr std::string_view kIdentity = "torch.nn.modules.linear.Identity";
  if (const auto activation = from.text("activation_function"); activation != kIdentity)
    fail("key 'activation_function': '{}' is not supported, expected '{}'",
         printable(activation.value_or("")), kIdentity);
}

// Of a module, within the folder.
fs::path module_folder(const fs::path& folder, const std::string& name) {
  const fs::path path(name);
  if (name.empty() || path.filename() != path || name == "." || name == "..")
    fail("key 'path': '{}' is no name of a folder", printable(name));
  return folder / path;
}

struct Module {
  std::string kind;
  fs::path path;  // empty if it has no folder
};

Module read_module(const fs::path& folder, const nlohmann::json& entry) {
  if (!entry.is_object()) fail("expected a list of objects");
  const ConfigReader from(entry);
  const std::string type = from.text("type").value_or("");
  std::string kind = type.substr(type.rfind('.') + 1);
  const bool is_folder = kind == "Pooling" || kind == "Dense";
  if (!is_folder && kind != "Transformer" && kind != "Normalize")
    fail("the module '{}' is not supported", printable(type));
  fs::path path = is_folder ? module_folder(folder, from.text("path").value_or("")) : "";
  return {std::move(kind), std::move(path)};
}

}  // namespace

EmbeddingModules read_embedding_modules(const fs::path& folder) {
  EmbeddingModules modules;
  const fs::path list_path = folder / "modules.json";
  const auto list = find_json_list(list_path);
  if (!list) return modules;
  for (const nlohmann::json& entry : *list) {
    const Module module = in_file(list_path, [&] { return read_module(folder, entry); });
    if (module.path.empty()) continue;
    const fs::path config_path = module.path / "config.json";
    const nlohmann::json config = read_json(config_path);
    in_file(config_path, [&] {
      if (module.kind == "Pooling") {
        modules.pooling = read_pooling(config);
      } else {
        check_dense(config);
        modules.dense.push_back(module.path / "model.safetensors");
      }
    });
  }
  return modules;
}

}  // namespace tessera::huggingface
