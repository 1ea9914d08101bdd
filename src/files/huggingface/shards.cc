#include "files/huggingface/shards.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/json_file.h"

namespace tessera::huggingface {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxShards = 10'000;

// A plain file name in the folder itself: an index is as untrusted as a file.
bool is_plain(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name.front() != '.' &&
         name.find_first_of("/\\") == std::string::npos && name.ends_with(".safetensors") &&
         std::ranges::none_of(name, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

struct Index {
  std::vector<std::string> tensors;
  std::set<std::string> files;
};

Index read_index(const fs::path& path) {
  const nlohmann::json json = read_json(path);
  const auto map = json.find("weight_map");
  if (map == json.end() || !map->is_object() || map->empty())
    fail("'{}': key 'weight_map' must be an object of names and files", shown(path));
  Index index;
  for (const auto& [name, file] : map->items()) {
    if (!file.is_string() || !is_plain(file.get<std::string>())) {
      fail("'{}': tensor '{}' lies in {}, expected the name of a safetensors file of the folder",
           shown(path), printable(name),
           printable(file.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
    }
    index.tensors.push_back(name);
    index.files.insert(file.get<std::string>());
    if (index.files.size() > kMaxShards) fail("'{}': more than {} files", shown(path), kMaxShards);
  }
  return index;
}

Shards find_members(const fs::path& folder, const fs::path& path) {
  Index index = read_index(path);
  Shards shards{{}, std::move(index.tensors)};
  for (const std::string& file : index.files) {
    const fs::path& member = shards.paths.emplace_back(folder / file);
    std::error_code ignored;
    if (!fs::exists(member, ignored))
      fail("'{}' is missing: '{}' names it", shown(member), shown(path));
  }
  return shards;
}

}  // namespace

Shards find_shards(const fs::path& folder) {
  std::error_code ignored;
  if (const fs::path index = folder / kIndexName; fs::exists(index, ignored))
    return find_members(folder, index);
  if (fs::path whole = folder / "model.safetensors"; fs::exists(whole, ignored))
    return {{std::move(whole)}, {}};
  std::vector<fs::path> found;
  bool pickles = false;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const fs::path extension = entry.path().extension();
    if (extension == ".safetensors") found.push_back(entry.path());
    pickles |= extension == ".bin" || extension == ".pt" || extension == ".pth";
  }
  if (found.size() == 1) return {std::move(found), {}};
  if (found.size() > 1) {
    fail("'{}' holds {} safetensors files and no model.safetensors.index.json that tells of them",
         shown(folder), found.size());
  }
  if (pickles) {
    fail(
        "'{}' keeps its weights in PyTorch pickles, which may run any code and are never opened; "
        "expected safetensors",
        shown(folder));
  }
  fail("'{}' holds no safetensors", shown(folder));
}

std::vector<std::string> shard_names(const fs::path& index) {
  const std::set<std::string> files = read_index(index).files;
  return {files.begin(), files.end()};
}

bool is_folder_file(std::string_view name) {
  constexpr auto kNames = std::to_array<std::string_view>(
      {"config.json", "generation_config.json", "hf_quant_config.json", kIndexName,
       "tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "tokenizer_config.json",
       "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
       "chat_template.json"});
  return std::ranges::find(kNames, name) != kNames.end() ||
         (name.starts_with("additional_chat_templates/") && name.ends_with(".jinja"));
}

bool names_a_model(const fs::path& folder) {
  const auto config = find_json(folder / "config.json");
  return config && (config->contains("model_type") || config->contains("ssm_cfg"));
}

}  // namespace tessera::huggingface
