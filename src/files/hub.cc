#include "files/hub.h"

#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "files/url.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t kMaxListingBytes = size_t{32} << 20;
constexpr int kMaxListingPages = 100;

using Listing = std::map<std::string, ExpectedFile>;

// One page of the listing: [{"type": "file", "path": ..., "size": ..., "lfs": {"oid": SHA-256}}].
void read_listing(const std::string& text, const std::string& url, Listing& listing) {
  const json page = json::parse(text, nullptr, false);
  if (!page.is_array()) fail("'{}': expected a JSON list of files", url);
  for (const json& entry : page) {
    if (!entry.is_object() || !entry.contains("path") || !entry["path"].is_string()) continue;
    if (!entry.contains("type") || entry["type"] != "file") continue;
    const std::string name = entry["path"];
    if (!name.ends_with(".gguf")) continue;
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

Listing list_gguf_files(const HubReference& reference, const PullOptions& options) {
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

}  // namespace

fs::path pull_from_hub(std::string_view text, HubReference reference, const PullOptions& options) {
  const Listing listing = list_gguf_files(reference, options);
  std::vector<std::string> names;
  for (const auto& [name, file] : listing) names.push_back(name);
  if (reference.file.empty()) reference.file = choose_gguf(names, text, reference.quantization);

  const std::vector<std::string> members = split_members(reference.file);
  for (const std::string& member : members) {
    if (!listing.contains(member)) {
      fail("hf:{}/{} holds no file '{}'; it holds {}", reference.owner, reference.repo, member,
           names.empty() ? "no GGUF file" : fmt::format("{}", fmt::join(names, ", ")));
    }
  }
  const auto path_of = [&](const std::string& member) {
    return hub_cache_path(options.cache, {reference.owner, reference.repo, member});
  };
  for (const std::string& member : members) {
    const ExpectedFile& expected = listing.at(member);
    if (is_present(path_of(member), expected.size)) continue;
    const std::string url = fmt::format("{}/{}/{}/resolve/main/{}", options.endpoint,
                                        reference.owner, reference.repo, escape_path(member));
    http_download(url, path_of(member), expected, options.http);
  }
  return path_of(members.front());
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
