#include "files/model_reference.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "base/closest.h"
#include "base/error.h"
#include "files/gguf/split.h"
#include "files/huggingface/folder.h"
#include "files/huggingface/peft.h"
#include "files/known_models.h"
#include "files/url.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHubPrefix = "hf:";

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return std::tolower(c); });
  return result;
}

// Is it a model of its own, rather than a later part of one or a vision projector beside one?
bool is_model(const std::string& name) {
  if (!lower(name).ends_with(".gguf") || lower(name).find("mmproj") != std::string::npos)
    return false;
  const auto split = gguf::parse_split_name(name);
  return !split || split->number == 1;
}

std::string join(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

// Does `path` hold `word`, cut off from what stands beside it? "_" is a letter of what follows:
// Q4_K is no part of Q4_K_M, but a name may lead up to it with "_".
bool holds_word(std::string_view path, std::string_view word) {
  for (size_t at = path.find(word); at != std::string_view::npos; at = path.find(word, at + 1)) {
    const size_t end = at + word.size();
    const bool begins = at == 0 || std::isalnum(static_cast<unsigned char>(path[at - 1])) == 0;
    const bool ends =
        end == path.size() ||
        (std::isalnum(static_cast<unsigned char>(path[end])) == 0 && path[end] != '_');
    if (begins && ends) return true;
  }
  return false;
}

FoundModel find_on_hub(std::string_view text, HubReference reference, const fs::path& cache) {
  if (reference.file.empty()) {
    const fs::path folder = hub_cache_path(cache, reference);
    std::vector<std::string> names;
    if (fs::is_directory(folder)) {
      for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (entry.is_regular_file())
          names.push_back(entry.path().lexically_relative(folder).string());
      }
    }
    std::ranges::sort(names);
    if (find_ggufs(names, reference.quantization).empty()) {
      // Its configuration is fetched last of all.
      const bool is_here = is_huggingface_folder(folder) || huggingface::is_peft_folder(folder);
      return {folder, is_here && reference.quantization.empty()};
    }
    reference.file = choose_gguf(names, text, reference.quantization);
  }
  const fs::path path = hub_cache_path(cache, reference);
  return {path, fs::is_regular_file(path)};
}

}  // namespace

fs::path cache_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  if (const auto folder = variable("TESSERA_CACHE"); !folder.empty()) return folder;
  if (const auto folder = variable("XDG_CACHE_HOME"); !folder.empty())
    return fs::path(folder) / "tessera";
  if (const auto folder = variable("HOME"); !folder.empty())
    return fs::path(folder) / ".cache" / "tessera";
  fail("no cache folder: set TESSERA_CACHE or HOME");
}

fs::path resolve_model(std::string_view reference) {
  if (reference.empty()) fail("the model's name is empty; expected a path or a reference");
  const auto found = find_model(reference, cache_folder());
  if (!found) fail_unknown_model(reference, true);
  if (!found->is_here)
    fail("'{}' is not here yet; fetch it with: tessera pull {}", reference, reference);
  return found->path;
}

std::optional<FoundModel> find_model(std::string_view reference, const fs::path& cache) {
  std::error_code ignored;
  if (fs::exists(fs::path(reference), ignored)) return FoundModel{fs::path(reference), true};
  if (const KnownModel* known = find_known_model(reference)) {
    const fs::path path = cache / known->file;
    return FoundModel{path, fs::is_regular_file(path)};
  }
  if (auto hub = parse_hub_reference(reference))
    return find_on_hub(reference, std::move(*hub), cache);
  if (!is_url(reference)) return std::nullopt;
  const fs::path path = url_cache_path(cache, reference);
  return FoundModel{path, fs::is_regular_file(path)};
}

void fail_unknown_model(std::string_view reference, bool is_path_possible) {
  const std::vector<std::string> names = known_model_names();
  if (const auto near = closest(reference, names); !near.empty()) {
    fail("no {} '{}'; did you mean '{}'?", is_path_possible ? "file or model" : "model", reference,
         near);
  }
  fail("no {} '{}'; expected {}hf:OWNER/REPO[:QUANTIZATION|/FILE], an https:// URL, or one of {}",
       is_path_possible ? "file" : "model", reference, is_path_possible ? "a path, " : "",
       join(names));
}

bool is_url(std::string_view reference) {
  return reference.starts_with("https://") || reference.starts_with("http://");
}

bool is_hub_reference(std::string_view reference) {
  return reference.starts_with(kHubPrefix);
}

std::optional<HubReference> parse_hub_reference(std::string_view reference) {
  if (!is_hub_reference(reference)) return std::nullopt;
  const std::string_view rest = reference.substr(kHubPrefix.size());
  const size_t first = rest.find('/');
  const auto malformed = [&] {
    fail("'{}': expected hf:OWNER/REPO, hf:OWNER/REPO:QUANTIZATION or hf:OWNER/REPO/FILE",
         reference);
  };
  if (first == std::string_view::npos) malformed();
  const size_t second = std::min(rest.find_first_of("/:", first + 1), rest.size());

  HubReference result;
  result.owner = rest.substr(0, first);
  result.repo = rest.substr(first + 1, second - first - 1);
  const auto is_plain = [](const std::string& name) {
    return !name.empty() && name.front() != '.' && std::ranges::all_of(name, [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
    });
  };
  if (!is_plain(result.owner) || !is_plain(result.repo)) malformed();
  if (second == rest.size()) return result;
  if (rest[second] == ':') {
    result.quantization = rest.substr(second + 1);
    if (!is_plain(result.quantization)) malformed();
  } else {
    result.file = rest.substr(second + 1);
    require_safe_name(result.file);
  }
  return result;
}

fs::path hub_cache_path(const fs::path& cache, const HubReference& reference) {
  const fs::path folder = cache / "hub" / reference.owner / reference.repo;
  return reference.file.empty() ? folder : folder / reference.file;
}

fs::path url_cache_path(const fs::path& cache, std::string_view url) {
  const Url parsed = parse_url(url);
  const bool usual_port = parsed.port == (parsed.scheme == "https" ? "443" : "80");
  const std::string host = usual_port ? parsed.host : parsed.host + "_" + parsed.port;
  // The path is decoded before the check: "%2e%2e" is ".." too.
  const std::string path = parsed.path.substr(1);
  if (path.empty() || path.ends_with('/')) fail("'{}': expected the URL of a file", url);
  require_safe_name(host);
  require_safe_name(path);
  return cache / "url" / host / path;
}

void require_safe_name(std::string_view name) {
  const auto refuse = [&](const char* why) { fail("unsafe file name '{}': {}", name, why); };
  if (name.empty() || name.size() > 1024) refuse("empty or too long");
  for (const unsigned char c : name) {
    if (c < 0x20 || c == 0x7f) fail("unsafe file name: it holds control characters");
    if (c == '\\') refuse("it holds a backslash");
  }
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view component = name.substr(begin, end - begin);
    if (component.empty()) refuse("it has an empty component");
    if (component.front() == '.') refuse("a component begins with a dot");
    begin = end + 1;
  }
}

std::vector<std::string> find_ggufs(const std::vector<std::string>& names,
                                    std::string_view quantization) {
  std::vector<std::string> models;
  std::ranges::copy_if(names, std::back_inserter(models), [&](const std::string& name) {
    return is_model(name) && (quantization.empty() || holds_word(lower(name), lower(quantization)));
  });
  return models;
}

std::string choose_gguf(const std::vector<std::string>& names, std::string_view where,
                        std::string_view quantization) {
  const std::vector<std::string> all = find_ggufs(names);
  if (all.empty()) fail("{} holds no GGUF file", where);
  const std::vector<std::string> models = find_ggufs(names, quantization);
  if (models.empty()) fail("{} is not there; the repository holds {}", where, join(all));
  if (models.size() == 1) return models.front();
  const std::vector<std::string> usual = find_ggufs(models, "q4_k_m");
  if (usual.size() == 1) return usual.front();
  fail("{} holds several models; name one of {}", where, join(models));
}

std::vector<std::string> split_members(std::string_view name) {
  const auto split = gguf::parse_split_name(name);
  if (!split) return {std::string(name)};
  std::vector<std::string> members;
  for (size_t i = 1; i <= split->count; ++i) {
    members.push_back(gguf::split_path(split->prefix, i, split->count).string());
  }
  return members;
}

bool is_present(const fs::path& path, std::optional<uint64_t> size) {
  std::error_code error;
  const uint64_t found = fs::file_size(path, error);
  return !error && (!size || found == *size);
}

}  // namespace tessera
