#include "files/model_reference.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "base/closest.h"
#include "base/error.h"
#include "files/gguf/split.h"
#include "files/known_models.h"
#include "files/url.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHubPrefix = "hf:";

bool is_url(std::string_view text) {
  return text.starts_with("https://") || text.starts_with("http://");
}

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

fs::path resolve_known(const KnownModel& model) {
  const fs::path path = cache_folder() / model.file;
  if (fs::is_regular_file(path)) return path;
  fail("model '{}' is not in '{}'; fetch it with: script/fetch-model {}", model.name,
       path.parent_path().string(), model.name);
}

fs::path resolve_hub(std::string_view text, HubReference reference) {
  const fs::path cache = cache_folder();
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
    if (std::ranges::none_of(names, is_model))
      fail("'{}' is not here yet; fetch it with: tessera pull {}", text, text);
    reference.file = choose_gguf(names, text);
  }
  const fs::path path = hub_cache_path(cache, reference);
  if (!fs::is_regular_file(path))
    fail("'{}' is not here yet; fetch it with: tessera pull {}", text, text);
  return path;
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
  std::error_code ignored;
  if (fs::exists(fs::path(reference), ignored)) return fs::path(reference);

  const auto known = std::ranges::find(known_models(), reference, &KnownModel::name);
  if (known != known_models().end()) return resolve_known(*known);
  if (auto hub = parse_hub_reference(reference)) return resolve_hub(reference, std::move(*hub));
  if (is_url(reference)) {
    const fs::path path = url_cache_path(cache_folder(), reference);
    if (!fs::is_regular_file(path))
      fail("'{}' is not here yet; fetch it with: tessera pull {}", reference, reference);
    return path;
  }
  std::vector<std::string> names;
  for (const KnownModel& model : known_models()) names.emplace_back(model.name);
  if (const auto near = closest(reference, names); !near.empty())
    fail("no file or model '{}'; did you mean '{}'?", reference, near);
  fail("no file '{}'; expected a path, hf:OWNER/REPO[/FILE], an https:// URL, or one of {}",
       reference, join(names));
}

std::optional<HubReference> parse_hub_reference(std::string_view reference) {
  if (!reference.starts_with(kHubPrefix)) return std::nullopt;
  const std::string_view rest = reference.substr(kHubPrefix.size());
  const size_t first = rest.find('/');
  if (first == std::string_view::npos) fail("'{}': expected hf:OWNER/REPO[/FILE]", reference);
  const size_t second = rest.find('/', first + 1);

  HubReference result;
  result.owner = rest.substr(0, first);
  result.repo =
      rest.substr(first + 1, second == std::string_view::npos ? second : second - first - 1);
  const auto is_plain = [](const std::string& name) {
    return !name.empty() && name.front() != '.' && std::ranges::all_of(name, [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
    });
  };
  if (!is_plain(result.owner) || !is_plain(result.repo))
    fail("'{}': expected hf:OWNER/REPO[/FILE]", reference);
  if (second != std::string_view::npos) {
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

std::string choose_gguf(const std::vector<std::string>& names, std::string_view where) {
  std::vector<std::string> models, usual;
  std::ranges::copy_if(names, std::back_inserter(models), is_model);
  std::ranges::copy_if(models, std::back_inserter(usual), [](const std::string& name) {
    return lower(name).find("q4_k_m") != std::string::npos;
  });
  if (models.empty()) fail("{} holds no GGUF file", where);
  if (models.size() == 1) return models.front();
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

}  // namespace tessera
