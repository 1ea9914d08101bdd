// How a user names a model: a path, a well-known name, a file of the Hugging Face hub, or a URL.
//
//   models/tiny.gguf                 an existing file
//   smollm2:135m                     a name of script/models.tsv, fetched by script/fetch-model
//   hf:OWNER/REPO[/FILE]             a GGUF file of the hub, fetched by `tessera pull`
//   https://HOST/PATH/FILE.gguf      fetched by `tessera pull`
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

// $TESSERA_CACHE, else $XDG_CACHE_HOME/tessera, else ~/.cache/tessera.
std::filesystem::path cache_folder();

// The file that `reference` names, if it is on this machine. Nothing is downloaded: an Error says
// which command fetches what is missing.
std::filesystem::path resolve_model(std::string_view reference);

// "hf:OWNER/REPO[/FILE]", taken apart. FILE may lie in a folder of the repository.
struct HubReference {
  std::string owner, repo;
  std::string file;  // empty: to be chosen from what the repository holds
};
// nullopt if `reference` does not begin with "hf:"; Error if it does and the rest is malformed.
std::optional<HubReference> parse_hub_reference(std::string_view reference);

// Where a pulled file lies: cache/hub/OWNER/REPO/FILE, or cache/url/HOST/PATH.
std::filesystem::path hub_cache_path(const std::filesystem::path& cache,
                                     const HubReference& reference);
std::filesystem::path url_cache_path(const std::filesystem::path& cache, std::string_view url);

// Error unless `name` is a relative path of plain components: no "..", no empty or hidden one, no
// backslash, no control character. Names from a server must pass before they touch the disk.
void require_safe_name(std::string_view name);

// The GGUF to take when only a repository is named: its one model, else its one Q4_K_M, which is
// what people expect. Split models count once, by their first member. Error listing the choices.
std::string choose_gguf(const std::vector<std::string>& names, std::string_view where);

// All members of a split GGUF, in order: "m-00002-of-00003.gguf" gives three names. A name that is
// no split member gives itself alone.
std::vector<std::string> split_members(std::string_view name);

}  // namespace tessera
