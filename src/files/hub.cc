#include "files/hub.h"

#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "files/huggingface/shards.h"
#include "files/url.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t kMaxListingBytes = size_t{32} << 20;
constexpr int kMaxListingPages = 100;

using Listing = std::map<std::string, ExpectedFile>;

bool is_weights(const std::string& name) {
  return name.ends_with(".safetensors") && name.find('/') == std::string::npos;
}

constexpr const char *kAdapterConfig = "adapter_config.json",
                     *kAdapter = "adapter_model.safetensors";

bool is_wanted(const std::string& name) {
  if (name == kAdapterConfig) return true;
  return name.ends_with(".gguf") || is_weights(name) || huggingface::is_folder_file(name);
}

// One page of the listing: [{"type": "file", "path": ..., "size": ..., "lfs": {"oid": SHA-256}}].
void read_listing(const std::string& text, const std::string& url, Listing& listing) {
  const json page = json::parse(text, nullptr, false);
  if (!page.is_array()) fail("'{}': expected a JSON list of files", url);
  for (const json& entry : page) {
    if (!entry.is_object() || !entry.contains("path") || !entry["path"].is_string()) continue;
    if (!entry.contains("type") || entry["type"] != "file") continue;
    const std::string name = entry["path"];
    if (!is_wanted(name)) continue;
    require_safe_name(name);
    ExpectedFile file;
    if (entry.contains("size") && entry["size"].is_number_unsigned()) file.size = entry["size"];
    if (entry.contains("lfs") && entry["lfs"].is_object()) {
      const json& oid = entry["lfs"].value("oid", json());
      if (oid.is_string() && oid.get_ref<const std::string&>().size() == 64) file.sha256 = oid;
    }
    listing[name] = file;
  }
}

Listing list_files(const HubReference& reference, const PullOptions& options) {
  Listing listing;
  std::string url = fmt::format("{}/api/models/{}/{}/tree/main?recursive=1", options.endpoint,
                                reference.owner, reference.repo);
  for (int page = 0; !url.empty() && page < kMaxListingPages; ++page) {
    const HttpText answer = http_get(url, kMaxListingBytes, options.http);
    read_listing(answer.body, url, listing);
    url = answer.next;
  }
  return listing;
}

// A repository, and what it is known to hold.
struct Repository {
  const HubReference& reference;
  const PullOptions& options;
  const Listing listing;

  fs::path path_of(const std::string& file) const {
    return hub_cache_path(options.cache, {reference.owner, reference.repo, file});
  }
  void fetch(const std::string& file) const {
    const ExpectedFile& expected = listing.at(file);
    if (is_present(path_of(file), expected.size)) return;
    const std::string url = fmt::format("{}/{}/{}/resolve/main/{}", options.endpoint,
                                        reference.owner, reference.repo, escape_path(file));
    http_download(url, path_of(file), expected, options.http);
  }
};

// Which of its safetensors are the model: those of the index, else the usual one, else all.
std::vector<std::string> find_weights(const Repository& repository) {
  const std::string index(huggingface::kIndexName), whole = "model.safetensors";
  if (repository.listing.contains(index)) {
    repository.fetch(index);
    return huggingface::shard_names(repository.path_of(index));
  }
  if (repository.listing.contains(whole)) return {whole};
  std::vector<std::string> weights;
  for (const auto& [name, file] : repository.listing) {
    if (is_weights(name)) weights.push_back(name);
  }
  return weights;
}

// A model as a folder of config.json, tokenizer.json and safetensors. config.json comes last: who
// finds it finds all.
fs::path pull_folder(const Repository& repository) {
  for (const std::string& name : find_weights(repository)) {
    if (!repository.listing.contains(name)) {
      fail("hf:{}/{} lacks '{}', which its index names", repository.reference.owner,
           repository.reference.repo, name);
    }
    repository.fetch(name);
  }
  const std::string config = "config.json";
  // An older form of the same tokenizer.
  const bool is_superseded = repository.listing.contains("tokenizer.json");
  for (const auto& [name, file] : repository.listing) {
    if (is_superseded && (name == "vocab.json" || name == "merges.txt")) continue;
    if (name != config && huggingface::is_folder_file(name)) repository.fetch(name);
  }
  repository.fetch(config);
  return repository.path_of(config).parent_path();
}

// A LoRA adapter: two files, its configuration last.
fs::path pull_adapter(const Repository& repository) {
  repository.fetch(kAdapter);
  repository.fetch(kAdapterConfig);
  return repository.path_of(kAdapterConfig).parent_path();
}

}  // namespace

fs::path pull_from_hub(std::string_view text, HubReference reference, const PullOptions& options) {
  const Repository repository{reference, options, list_files(reference, options)};
  const Listing& listing = repository.listing;
  std::vector<std::string> names;
  bool has_weights = false;
  for (const auto& [name, file] : listing) {
    if (name.ends_with(".gguf")) names.push_back(name);
    has_weights |= is_weights(name);
  }
  if (reference.file.empty()) {
    const bool is_folder = has_weights && listing.contains("config.json");
    if (is_folder && find_ggufs(names).empty() && reference.quantization.empty())
      return pull_folder(repository);
    const bool is_adapter = listing.contains(kAdapter) && listing.contains(kAdapterConfig);
    if (is_adapter && find_ggufs(names).empty() && reference.quantization.empty())
      return pull_adapter(repository);
    reference.file = choose_gguf(names, text, reference.quantization);
  }

  const std::vector<std::string> members = split_members(reference.file);
  for (const std::string& member : members) {
    if (!listing.contains(member)) {
      fail("hf:{}/{} holds no file '{}'; it holds {}", reference.owner, reference.repo, member,
           names.empty() ? "no GGUF file" : fmt::format("{}", fmt::join(names, ", ")));
    }
  }
  for (const std::string& member : members) repository.fetch(member);
  return repository.path_of(members.front());
}

fs::path pull_from_url(const std::string& url, const PullOptions& options) {
  const fs::path target = url_cache_path(options.cache, url);
  const std::string name = target.filename().string();
  const std::vector<std::string> members = split_members(name);
  // A split model's other members lie beside it, on the server as on the disk.
  const size_t at = url.rfind(name);
  if (members.size() > 1 && at == std::string::npos)
    fail("'{}': cannot tell the names of the other parts", url);
  for (const std::string& member : members) {
    const fs::path path = target.parent_path() / member;
    if (is_present(path, {})) continue;
    http_download(members.size() == 1 ? url : std::string(url).replace(at, name.size(), member),
                  path, {}, options.http);
  }
  return target.parent_path() / members.front();
}

}  // namespace tessera
