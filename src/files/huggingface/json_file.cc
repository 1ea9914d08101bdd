#include "files/huggingface/json_file.h"

#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/printable.h"

namespace tessera::huggingface {
namespace {

using nlohmann::json;

// Builds the values itself, so that it stops in time; nothing is looked up twice.
class Builder final : public nlohmann::json_sax<json> {
 public:
  json root;
  std::string error;

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(json::object()); }
  bool start_array(size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& key) override {
    auto& members = open_.back()->get_ref<json::object_t&>();
    const auto [member, is_new] = members.try_emplace(std::move(key));
    if (!is_new) error = fmt::format("key '{}' comes twice", printable(member->first));
    member_ = &member->second;
    return is_new;
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& exception) override {
    if (exception.id >= 400) {
      error = "holds a number that is out of range";
    } else if (error.empty()) {
      error = fmt::format("is no JSON from byte {} on", position);
    }
    return false;
  }

 private:
  bool add(json value) { return put(std::move(value)) != nullptr; }

  json* put(json value) {
    if (++values_ > kMaxJsonValues) {
      error = fmt::format("holds more than {} values", kMaxJsonValues);
      return nullptr;
    }
    if (open_.empty()) return &(root = std::move(value));
    if (!open_.back()->is_array()) return &(*member_ = std::move(value));
    open_.back()->push_back(std::move(value));
    return &open_.back()->back();
  }

  bool open(json value) {
    if (open_.size() == static_cast<size_t>(kMaxJsonDepth)) {
      error = fmt::format("is nested more deeply than {} levels", kMaxJsonDepth);
      return false;
    }
    json* added = put(std::move(value));
    if (added != nullptr) open_.push_back(added);
    return added != nullptr;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  std::vector<json*> open_;  // from the root on; none of them moves before it is closed
  json* member_ = nullptr;   // whose key came last
  size_t values_ = 0;
};

}  // namespace

std::string read_text(const std::filesystem::path& path, size_t max_bytes) {
  std::error_code error;
  const uintmax_t size = std::filesystem::is_regular_file(path, error)
                             ? std::filesystem::file_size(path, error)
                             : static_cast<uintmax_t>(-1);
  if (error || size == static_cast<uintmax_t>(-1)) fail("'{}' is no file", shown(path));
  if (size > max_bytes)
    fail("'{}' has {} bytes, at most {} are read", shown(path), size, max_bytes);
  std::string text(static_cast<size_t>(size), '\0');
  std::ifstream in(path, std::ios::binary);
  if (!in.read(text.data(), static_cast<std::streamsize>(text.size())))
    fail("'{}' cannot be read", shown(path));
  return text;
}

namespace {

// Python writes a word that is no JSON where a bound is open (Mamba-2's); here it is null. Nowhere
// else: null is silence, which would have a default take the place of what was said.
void open_bounds(std::string& text) {
  constexpr std::string_view kWord = "Infinity", kInstead = "null    ";
  const size_t key = text.find("\"time_step_limit\"");
  if (key == std::string::npos) return;
  const size_t end = text.find(']', key);
  for (size_t at = text.find(kWord, key); at < end; at = text.find(kWord, at))
    text.replace(at, kWord.size(), kInstead);
}

json parse_file(const std::filesystem::path& path, size_t max_bytes) {
  std::string text = read_text(path, max_bytes);
  open_bounds(text);
  Builder builder;
  if (!json::sax_parse(text, &builder)) fail("'{}' {}", shown(path), builder.error);
  return std::move(builder.root);
}

}  // namespace

json read_json(const std::filesystem::path& path, size_t max_bytes) {
  json root = parse_file(path, max_bytes);
  if (!root.is_object()) fail("'{}' holds no JSON object", shown(path));
  return root;
}

std::optional<json> find_json_list(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  json root = parse_file(path, kMaxJsonBytes);
  if (!root.is_array()) fail("'{}' holds no JSON list", shown(path));
  return root;
}

std::optional<json> find_json(const std::filesystem::path& path, size_t max_bytes) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  return read_json(path, max_bytes);
}

}  // namespace tessera::huggingface
