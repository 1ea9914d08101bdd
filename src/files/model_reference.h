// How a user names a model: a path, a well-known name, a file of the Hugging Face hub, or a URL.
//
//   models/tiny.gguf                 an existing file
//   smollm2:135m                     a name of known_models.tsv
//   hf:OWNER/REPO[/FILE]             a GGUF file of the hub
//   hf:OWNER/REPO:QUANTIZATION       the one whose name says so: "Q4_K_M"
//   hf:OWNER/REPO                    or a repository that is a folder: a model's, an adapter's
//   https://HOST/PATH/FILE.gguf
//
// All but a path are fetched by `tessera pull` (files/pull.h).
#pragma once

#include <cstdint>
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

struct FoundModel {
  std::filesystem::path path;  // where it lies or would lie; of "hf:OWNER/REPO", then the folder
  bool is_here = false;
};
// nullopt if `reference` is neither an existing path nor one of the other kinds. Error if it is
// malformed, or if it fits several models that are here.
std::optional<FoundModel> find_model(std::string_view reference,
                                     const std::filesystem::path& cache);

// Says that there is no such model, and which one may have been meant. `is_path_possible`: a path
// could have stood there.
[[noreturn]] void fail_unknown_model(std::string_view reference, bool is_path_possible);

bool is_url(std::string_view reference);
bool is_hub_reference(std::string_view reference);  // does it begin with "hf:"?

// "hf:OWNER/REPO[:QUANTIZATION|/FILE]", taken apart. FILE may lie in a folder of the repository.
struct HubReference {
  std::string owner, repo;
  std::string file;            // empty: to be chosen from what the repository holds
  std::string quantization{};  // empty: the usual one
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

// The GGUFs among `names` that are models, rather than later parts of one or vision projectors;
// with a quantization only those whose path holds it as a word, in any case: "m-Q4_K_M.gguf" or
// "q4_k_m/m.gguf" for "Q4_K_M", but neither for "Q4_K".
std::vector<std::string> find_ggufs(const std::vector<std::string>& names,
                                    std::string_view quantization = "");

// The one to take when only a repository is named, or a quantization as well: the one that there
// is, else the one Q4_K_M, which is what people expect. Split models count once, by their first
// member. Error listing the choices.
std::string choose_gguf(const std::vector<std::string>& names, std::string_view where,
                        std::string_view quantization = "");

// All members of a split GGUF, in order: "m-00002-of-00003.gguf" gives three names. A name that is
// no split member gives itself alone.
std::vector<std::string> split_members(std::string_view name);

// Is the whole file there? Only whole files ever get their final name, so a size is enough to know
// them by.
bool is_present(const std::filesystem::path& path, std::optional<uint64_t> size);

}  // namespace tessera
