#include "files/huggingface/json_file.h"

#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/printable.h"

namespace tessera::huggingface {
namespace {

using nlohmann::json;

std::string shown(const std::filesystem::path& path) {
  return printable(path.string(), 400);
}

}  // namespace

std::string read_text(const std::filesystem::path& path, size_t max_bytes) {
  std::error_code error;
  const uintmax_t size = std::filesystem::is_regular_file(path, error)
                             ? std::filesystem::file_size(path, error)
                             : static_cast<uintmax_t>(-1);
  if (error || size == static_cast<uintmax_t>(-1)) fail("'{}' is no file", shown(path));
  if (size > max_bytes) fail("'{}' has {} bytes, at most {} are read", shown(path), size, max_bytes);
  std::string text(static_cast<size_t>(size), '\0');
  std::ifstream in(path, std::ios::binary);
  if (!in.read(text.data(), static_cast<std::streamsize>(text.size())))
    fail("'{}' cannot be read", shown(path));
  return text;
}

json read_json(const std::filesystem::path& path, size_t max_bytes) {
  const std::string text = read_text(path, max_bytes);
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto check = [&](int depth, json::parse_event_t event, const json& parsed) {
    if (depth > kMaxJsonDepth)
      fail("'{}': nested more deeply than {} levels", shown(path), kMaxJsonDepth);
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key &&
        !keys.back().insert(parsed.get_ref<const std::string&>()).second) {
      fail("'{}': key '{}' comes twice", shown(path),
           printable(parsed.get_ref<const std::string&>()));
    }
    return true;
  };
  json value;
  try {
    value = json::parse(text, check);
  } catch (const json::parse_error& error) {
    fail("'{}' is no JSON from byte {} on", shown(path), error.byte);
  } catch (const json::exception&) {
    fail("'{}' holds a number that is out of range", shown(path));
  }
  if (!value.is_object()) fail("'{}' holds no JSON object", shown(path));
  return value;
}

std::optional<json> find_json(const std::filesystem::path& path, size_t max_bytes) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  return read_json(path, max_bytes);
}

}  // namespace tessera::huggingface
