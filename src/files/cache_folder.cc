#include "files/cache_folder.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/error.h"
#include "files/huggingface/shards.h"
#include "files/known_models.h"
#include "files/model_reference.h"
#include "files/url.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

bool cut_end(std::string& text, std::string_view end) {
  if (!text.ends_with(end)) return false;
  text.resize(text.size() - end.size());
  return true;
}

// hub/OWNER/REPO, of a file there that belongs to a folder of safetensors. Whole it is with its
// config.json, which is fetched last.
std::optional<std::string> folder_of(const std::string& file, bool& is_whole) {
  const fs::path path(file);
  const std::vector<fs::path> parts(path.begin(), path.end());
  if (parts.size() < 4 || parts[0] != "hub") return std::nullopt;
  const fs::path folder = parts[0] / parts[1] / parts[2];
  const std::string name = path.lexically_relative(folder).string();
  if (!name.ends_with(".safetensors") && !huggingface::is_folder_file(name)) return std::nullopt;
  is_whole = is_whole && name == "config.json";
  return folder.string();
}

// Which model does a file of the cache belong to? The path of the GGUF, or of its first member, in
// the cache; nullopt: to none. `is_whole`: it is that GGUF or a member, not a piece of a download.
std::optional<std::string> owner_of(std::string file, bool& is_whole) {
  is_whole = true;
  if (const size_t folder = file.find(".wheels/"); folder != std::string::npos) {
    file.resize(folder);
    is_whole = false;
  }
  for (const char* end : {".etag", ".part"}) {
    if (cut_end(file, end)) is_whole = false;
  }
  if (file.ends_with(".gguf") || file.ends_with(".GGUF")) return split_members(file).front();
  return folder_of(file, is_whole);
}

// The reverse of find_model.
std::string name_of(const std::string& file, const fs::path& cache) {
  for (const KnownModel& model : known_models()) {
    if (model.file == file) return std::string(model.name);
  }
  const std::string kHub = "hub/", kUrl = "url/";
  if (file.starts_with(kHub) && std::ranges::count(file, '/') >= 2)
    return "hf:" + file.substr(kHub.size());
  if (const size_t slash = file.find('/', kUrl.size());
      file.starts_with(kUrl) && slash != std::string::npos) {
    std::string host = file.substr(kUrl.size(), slash - kUrl.size());
    std::ranges::replace(host, '_', ':');
    return "https://" + host + escape_path(file.substr(slash));
  }
  return (cache / file).string();
}

bool is_same_file(const fs::path& a, const fs::path& b) {
  std::error_code ignored;
  return a == b || fs::equivalent(a, b, ignored);
}

}  // namespace

std::vector<CachedModel> list_cached_models(const fs::path& cache) {
  std::map<std::string, CachedModel> models;
  std::map<std::string, size_t> members;
  std::error_code error;
  fs::recursive_directory_iterator entry(cache, fs::directory_options::skip_permission_denied,
                                         error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code gone;  // while we look: not an error
    if (!entry->is_regular_file(gone)) continue;
    bool is_whole = false;
    const auto owner = owner_of(entry->path().lexically_relative(cache).string(), is_whole);
    if (!owner) continue;
    CachedModel& model = models[*owner];
    model.files.push_back(entry->path());
    const uint64_t bytes = entry->file_size(gone);
    if (!gone) model.bytes += bytes;
    if (const auto time = entry->last_write_time(gone); !gone)
      model.modified = std::max(model.modified, time);
    members[*owner] += is_whole ? 1 : 0;
  }
  std::vector<CachedModel> list;
  for (auto& [file, model] : models) {
    model.name = name_of(file, cache);
    model.path = cache / file;
    model.is_whole = members[file] == split_members(file).size();
    list.push_back(std::move(model));
  }
  std::ranges::sort(list, {}, &CachedModel::name);
  return list;
}

CachedModel find_cached_model(std::string_view reference, const fs::path& cache) {
  std::vector<CachedModel> models = list_cached_models(cache);
  auto found = std::ranges::find(models, reference, &CachedModel::name);
  if (found == models.end()) {
    if (const auto place = find_model(reference, cache)) {
      found = std::ranges::find_if(models, [&](const CachedModel& model) {
        return model.path == place->path ||
               std::ranges::any_of(model.files, [&](const fs::path& file) {
                 return is_same_file(file, place->path);
               });
      });
    }
  }
  if (found == models.end()) fail("'{}' is not in the cache '{}'", reference, cache.string());
  return std::move(*found);
}

void remove_cached_model(const CachedModel& model, const fs::path& cache) {
  for (const fs::path& file : model.files) {
    std::error_code error;
    fs::remove(file, error);
    if (error) fail("cannot remove '{}': {}", file.string(), error.message());
    fs::path folder = file.lexically_relative(cache).parent_path();
    for (; !folder.empty(); folder = folder.parent_path()) {
      if (!fs::remove(cache / folder, error)) break;  // the first that is not empty
    }
  }
}

}  // namespace tessera
