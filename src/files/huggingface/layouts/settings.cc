#include "files/huggingface/layouts/settings.h"

#include <utility>

#include "base/error.h"
#include "base/printable.h"

namespace tessera::huggingface {

using nlohmann::json;

Settings::Settings(const json& object, std::string where)
    : object_(&object), where_(std::move(where)) {
  if (!object.is_object()) fail("{} is of type {}, expected an object", where_, object.type_name());
}

const json* Settings::find(std::string_view key) const {
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

void Settings::refuse(std::string_view key, std::string_view expected) const {
  const json* value = find(key);
  std::string found = "absent";
  if (value != nullptr && value->is_string()) {
    found = fmt::format("'{}'", printable(value->get_ref<const std::string&>(), 60));
  } else if (value != nullptr) {
    found = value->is_primitive() ? value->dump() : fmt::format("of type {}", value->type_name());
  }
  fail("'{}' of {} is {}, expected {}", key, where_, found, expected);
}

std::optional<int64_t> Settings::find_integer(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_integer() ||
      (value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX)) {
    refuse(key, "an integer");
  }
  return value->get<int64_t>();
}

int64_t Settings::integer(std::string_view key, int64_t standard) const {
  return find_integer(key).value_or(standard);
}

int64_t Settings::require_integer(std::string_view key) const {
  const auto value = find_integer(key);
  if (!value) refuse(key, "an integer");
  return *value;
}

bool Settings::flag(std::string_view key, bool standard) const {
  const json* value = find(key);
  if (value == nullptr) return standard;
  if (!value->is_boolean()) refuse(key, "true or false");
  return value->get<bool>();
}

std::string Settings::text(std::string_view key, std::string_view standard) const {
  const json* value = find(key);
  if (value == nullptr) return std::string(standard);
  if (!value->is_string()) refuse(key, "a text");
  return value->get<std::string>();
}

std::vector<std::string> Settings::texts(std::string_view key) const {
  const json* value = find(key);
  std::vector<std::string> texts;
  if (value == nullptr) return texts;
  if (!value->is_array()) refuse(key, "a list of texts");
  for (const json& text : *value) {
    if (!text.is_string()) refuse(key, "a list of texts");
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

std::optional<Settings> Settings::object(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr) return std::nullopt;
  return Settings(*value, where_ + "." + printable(key, 60));
}

std::vector<std::pair<std::string, Settings>> Settings::objects() const {
  std::vector<std::pair<std::string, Settings>> objects;
  for (const auto& [key, value] : object_->items()) {
    if (value.is_object())
      objects.emplace_back(key, Settings(value, where_ + "." + printable(key, 60)));
  }
  return objects;
}

}  // namespace tessera::huggingface
