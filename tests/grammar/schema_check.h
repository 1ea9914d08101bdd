// A straightforward validator of the JSON schema keywords that the tests use.
#pragma once

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

namespace tessera::testing {

using CheckedJson = nlohmann::ordered_json;

class SchemaCheck {
 public:
  explicit SchemaCheck(const CheckedJson& root) : root_(root) {}

  bool valid(const CheckedJson& value) const { return valid(value, root_); }

 private:
  bool valid(const CheckedJson& value, const CheckedJson& schema) const {
    if (schema.is_boolean()) return schema.get<bool>();
    if (schema.contains("$ref") && !valid(value, root_.at(CheckedJson::json_pointer(
                                                     schema["$ref"].get<std::string>().substr(1)))))
      return false;
    if (value.is_null() && schema.value("nullable", false)) return true;
    if (schema.contains("type") && !has_type(value, schema["type"])) return false;
    if (schema.contains("const") && value != schema["const"]) return false;
    if (schema.contains("enum") && std::ranges::find(schema["enum"], value) == schema["enum"].end())
      return false;
    for (const CheckedJson& part : schema.value("allOf", CheckedJson::array()))
      if (!valid(value, part)) return false;
    for (const char* keyword : {"anyOf", "oneOf"}) {
      if (schema.contains(keyword) &&
          std::ranges::none_of(schema[keyword],
                               [&](const CheckedJson& s) { return valid(value, s); }))
        return false;
    }
    if (value.is_object()) return valid_object(value, schema);
    if (value.is_array()) return valid_array(value, schema);
    if (value.is_string()) return valid_string(value.get<std::string>(), schema);
    return !value.is_number() || valid_number(value.get<double>(), schema);
  }

  static bool has_type(const CheckedJson& value, const CheckedJson& type) {
    if (type.is_array())
      return std::ranges::any_of(type, [&](const CheckedJson& t) { return has_type(value, t); });
    if (type == "integer")
      return value.is_number() && std::trunc(value.get<double>()) == value.get<double>();
    return type == value.type_name();
  }

  bool valid_object(const CheckedJson& value, const CheckedJson& schema) const {
    const auto properties = schema.value("properties", CheckedJson::object());
    for (const auto& name : schema.value("required", CheckedJson::array()))
      if (!value.contains(name)) return false;
    for (const auto& [name, member] : value.items()) {
      if (properties.contains(name)
              ? !valid(member, properties[name])
              : !valid(member, schema.value("additionalProperties", CheckedJson(true))))
        return false;
    }
    return true;
  }

  bool valid_array(const CheckedJson& value, const CheckedJson& schema) const {
    const auto prefix = schema.value("prefixItems", CheckedJson::array());
    if (value.size() < schema.value("minItems", size_t{0})) return false;
    if (value.size() > schema.value("maxItems", SIZE_MAX)) return false;
    for (size_t i = 0; i < value.size(); ++i) {
      if (!valid(value[i],
                 i < prefix.size() ? prefix[i] : schema.value("items", CheckedJson(true))))
        return false;
    }
    return true;
  }

  static bool valid_string(const std::string& value, const CheckedJson& schema) {
    const auto length = static_cast<size_t>(
        std::ranges::count_if(value, [](char c) { return (c & 0xC0) != 0x80; }));
    return length >= schema.value("minLength", size_t{0}) &&
           length <= schema.value("maxLength", SIZE_MAX);
  }

  static bool valid_number(double value, const CheckedJson& schema) {
    const double infinity = std::numeric_limits<double>::infinity();
    return value >= schema.value("minimum", -infinity) &&
           value <= schema.value("maximum", infinity) &&
           value > schema.value("exclusiveMinimum", -infinity) &&
           value < schema.value("exclusiveMaximum", infinity);
  }

  const CheckedJson& root_;
};

}  // namespace tessera::testing
