#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "base/utf8.h"
#include "files/huggingface/config_reader.h"
#include "files/huggingface/json_file.h"
#include "files/huggingface/tokenizer.h"

namespace tessera::huggingface {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t kMostBytes = size_t{4} << 20;
constexpr size_t kMostTemplates = 64;
constexpr std::string_view kStandard = "default";

using Templates = std::map<std::string, std::string>;  // by name, the standard one too

void add(Templates& templates, std::string name, std::string source) {
  if (source.size() > kMostBytes)
    fail("the chat template '{}' has more than {} bytes", printable(name), kMostBytes);
  if (templates.size() == kMostTemplates) fail("more than {} chat templates", kMostTemplates);
  templates.insert_or_assign(std::move(name), std::move(source));
}

std::string read_source(const fs::path& path) {
  std::string source = read_text(path, kMostBytes);
  if (!is_valid_utf8(source)) fail("'{}' is no UTF-8", printable(path.string(), 400));
  return source;
}

// "chat_template" as a text, or as a list of {"name": ..., "template": ...}.
void read_value(const json& config, Templates& templates) {
  const json* value = ConfigReader(config).find("chat_template");
  if (value == nullptr) return;
  if (value->is_string()) return add(templates, std::string(kStandard), value->get<std::string>());
  if (!value->is_array()) fail("key 'chat_template': expected a text or a list");
  for (const json& entry : *value) {
    if (!entry.is_object()) fail("key 'chat_template': expected a list of objects");
    const ConfigReader reader(entry);
    auto name = reader.text("name");
    auto source = reader.text("template");
    if (!name || !source) fail("key 'chat_template': expected names and templates");
    add(templates, *std::move(name), *std::move(source));
  }
}

// additional_chat_templates/NAME.jinja
void read_folder(const fs::path& folder, Templates& templates) {
  std::error_code error;
  std::vector<fs::path> paths;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() == ".jinja") paths.push_back(at->path());
    if (paths.size() > kMostTemplates) fail("more than {} chat templates", kMostTemplates);
  }
  std::ranges::sort(paths);
  for (const fs::path& path : paths) add(templates, path.stem().string(), read_source(path));
}

}  // namespace

ChatTemplates read_chat_templates(const fs::path& folder) {
  // The files that transformers writes now take the place of all that it wrote before.
  Templates found;
  for (const char* name : {"tokenizer_config.json", "chat_template.json"}) {
    const auto json = find_json(folder / name);
    if (!json) continue;
    Templates newer;
    in_file(folder / name, [&] { read_value(*json, newer); });
    if (!newer.empty()) found = std::move(newer);
  }
  Templates files;
  std::error_code ignored;
  if (fs::exists(folder / "chat_template.jinja", ignored))
    add(files, std::string(kStandard), read_source(folder / "chat_template.jinja"));
  read_folder(folder / "additional_chat_templates", files);
  if (!files.empty()) found = std::move(files);

  ChatTemplates templates;
  for (auto& [name, source] : found) {
    if (name == kStandard) {
      templates.standard = std::move(source);
    } else {
      templates.named.emplace(name, std::move(source));
    }
  }
  return templates;
}

}  // namespace tessera::huggingface
