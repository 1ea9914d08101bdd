#include "files/huggingface/shards.h"

#include <algorithm>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/json_file.h"

namespace tessera::huggingface {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxShards = 10'000;

std::string shown(const fs::path& path) {
  return printable(path.string(), 400);
}

// A plain file name in the folder itself: an index is as untrusted as a file.
bool is_plain(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name.front() != '.' &&
         name.find_first_of("/\\") == std::string::npos && name.ends_with(".safetensors") &&
         std::ranges::none_of(name, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

Shards read_index(const fs::path& folder, const fs::path& path) {
  const nlohmann::json index = read_json(path);
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object() || map->empty())
    fail("'{}': key 'weight_map' must be an object of names and files", shown(path));
  Shards shards;
  for (const auto& [name, file] : map->items()) {
    if (!file.is_string() || !is_plain(file.get<std::string>())) {
      fail("'{}': tensor '{}' lies in {}, expected the name of a safetensors file of the folder",
           shown(path), printable(name),
           printable(file.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
    }
    shards.names.push_back(name);
    fs::path member = folder / file.get<std::string>();
    if (std::ranges::find(shards.paths, member) == shards.paths.end())
      shards.paths.push_back(std::move(member));
    if (shards.paths.size() > kMaxShards)
      fail("'{}': more than {} files", shown(path), kMaxShards);
  }
  std::ranges::sort(shards.paths);
  for (const fs::path& member : shards.paths) {
    std::error_code ignored;
    if (!fs::exists(member, ignored)) fail("'{}' is missing: '{}' names it", shown(member), shown(path));
  }
  return shards;
}

}  // namespace

Shards find_shards(const fs::path& folder) {
  std::error_code ignored;
  if (const fs::path index = folder / "model.safetensors.index.json"; fs::exists(index, ignored))
    return read_index(folder, index);
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

}  // namespace tessera::huggingface
