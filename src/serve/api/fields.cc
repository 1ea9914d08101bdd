#include "serve/api/fields.h"

#include <cmath>

#include "serve/http/api_error.h"

namespace tessera::serve {

std::optional<int64_t> whole_number(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > uint64_t{INT64_MAX}) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  if (number != std::floor(number) || !(std::abs(number) < 0x1p63)) return std::nullopt;
  return static_cast<int64_t>(number);
}

const Json* Fields::find(std::string_view name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool Fields::is_null(std::string_view name) const {
  const auto found = object_.find(name);
  return found != object_.end() && found->is_null();
}

void Fields::wrong_type(std::string_view name, std::string_view expected) const {
  const Json* value = find(name);
  bad_request(path(name), "'{}' is {}, expected {}", path(name),
              value == nullptr ? "missing" : value->type_name(), expected);
}

bool Fields::boolean(std::string_view name, bool otherwise) const {
  const Json* value = find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) wrong_type(name, "true or false");
  return value->get<bool>();
}

std::optional<bool> Fields::optional_boolean(std::string_view name) const {
  return has(name) ? std::optional(boolean(name, false)) : std::nullopt;
}

std::optional<int64_t> Fields::integer(std::string_view name, int64_t least, int64_t most) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  const auto number = whole_number(*value);
  const bool is_fraction =
      value->is_number_float() && value->get<double>() != std::floor(value->get<double>());
  if (!value->is_number() || is_fraction) wrong_type(name, "an integer");
  if (!number || *number < least || *number > most) {
    bad_request(path(name), "'{}' is {}, expected {} to {}", path(name), value->dump(), least,
                most);
  }
  return number;
}

int Fields::integer(std::string_view name, int otherwise, int least, int most) const {
  const auto number = integer(name, int64_t{least}, int64_t{most});
  return number ? static_cast<int>(*number) : otherwise;
}

double Fields::number(std::string_view name, double otherwise, double least, double most) const {
  const Json* value = find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_number()) wrong_type(name, "a number");
  const double number = value->get<double>();
  if (!(number >= least && number <= most)) {
    bad_request(path(name), "'{}' is {}, expected {} to {}", path(name), value->dump(), least,
                most);
  }
  return number;
}

std::string Fields::text(std::string_view name, std::string otherwise) const {
  const Json* value = find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_string()) wrong_type(name, "a string");
  return value->get<std::string>();
}

std::string Fields::required_text(std::string_view name) const {
  if (!has(name)) wrong_type(name, "a string");
  return text(name);
}

std::vector<std::string> Fields::texts(std::string_view name, size_t most) const {
  const Json* value = find(name);
  if (value == nullptr) return {};
  if (value->is_string()) return {value->get<std::string>()};
  if (!value->is_array()) wrong_type(name, "a string or a list of strings");
  if (value->size() > most) {
    bad_request(path(name), "'{}' has {} entries, expected at most {}", path(name), value->size(),
                most);
  }
  std::vector<std::string> texts;
  for (const Json& entry : *value) {
    if (!entry.is_string()) wrong_type(name, "a string or a list of strings");
    texts.push_back(entry.get<std::string>());
  }
  return texts;
}

std::optional<Fields> Fields::object(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) wrong_type(name, "an object");
  return Fields(*value, path(name) + ".");
}

}  // namespace tessera::serve
