// A JSON object of settings that strangers wrote: each is read as what it has to be.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::huggingface {

// An absent setting, and one that is null, has the default; one of another type is an Error.
class Settings {
 public:
  // `where`: what it is called in messages. Error if `object` is no object.
  Settings(const nlohmann::json& object, std::string where);

  std::optional<int64_t> find_integer(std::string_view key) const;
  int64_t integer(std::string_view key, int64_t standard) const;
  int64_t require_integer(std::string_view key) const;
  bool flag(std::string_view key, bool standard) const;
  std::string text(std::string_view key, std::string_view standard) const;
  std::vector<std::string> texts(std::string_view key) const;     // of an array; none if absent
  std::optional<Settings> object(std::string_view key) const;     // nullopt if absent
  std::vector<std::pair<std::string, Settings>> objects() const;  // all that are objects
  const nlohmann::json* find(std::string_view key) const;         // nullptr: absent or null

  // Error: "'bits' of config.json: quantization_config is 5, expected 2, 3, 4 or 8".
  [[noreturn]] void refuse(std::string_view key, std::string_view expected) const;
  const std::string& where() const { return where_; }

 private:
  const nlohmann::json* object_;
  std::string where_;
};

}  // namespace tessera::huggingface
