// Typed look-up in a JSON object of a configuration.
#pragma once

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/printable.h"

namespace tessera::huggingface {

// A key that is absent or null says nothing: nullopt. Another type than asked for is an Error.
class ConfigReader {
 public:
  explicit ConfigReader(const nlohmann::json& object) : object_(object) {}

  const nlohmann::json* find(std::string_view key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  // Is the key there, null or not?
  bool has(std::string_view key) const { return object_.contains(key); }
  // 0 to 2^32 - 1.
  std::optional<int64_t> integer(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return std::nullopt;
    // Some writers say 128.0.
    const bool whole = value->is_number_float() && value->get<double>() >= 0 &&
                       value->get<double>() <= UINT32_MAX &&
                       std::trunc(value->get<double>()) == value->get<double>();
    if (!value->is_number_unsigned() && !whole) wrong(key, *value, "a whole number");
    if (!whole && value->get<uint64_t>() > UINT32_MAX) wrong(key, *value, "less than 2^32");
    return value->get<int64_t>();
  }
  std::optional<double> number(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number() || !std::isfinite(value->get<double>())) wrong(key, *value, "a number");
    return value->get<double>();
  }
  std::optional<bool> boolean(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_boolean()) wrong(key, *value, "true or false");
    return value->get<bool>();
  }
  std::optional<std::string> text(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) wrong(key, *value, "a text");
    return value->get<std::string>();
  }
  std::optional<std::vector<float>> numbers(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_array() || value->size() > kMostNumbers) wrong(key, *value, "a list of numbers");
    std::vector<float> list;
    for (const auto& element : *value) {
      if (!element.is_number()) wrong(key, element, "a number in the list");
      list.push_back(element.get<float>());
    }
    return list;
  }
  const nlohmann::json* object(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (value != nullptr && !value->is_object()) wrong(key, *value, "an object");
    return value;
  }

 private:
  static constexpr size_t kMostNumbers = 1 << 16;

  [[noreturn]] static void wrong(std::string_view key, const nlohmann::json& found,
                                 std::string_view expected) {
    fail("key '{}': expected {}, found {}", printable(key), expected,
         printable(found.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), 60));
  }

  const nlohmann::json& object_;
};

}  // namespace tessera::huggingface
