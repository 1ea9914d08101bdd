// Reads the members of a JSON object, strictly: a wrong type or a value out of range is an ApiError
// that names the member. A member that is null is one that is not there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/http/json.h"

namespace tessera::serve {

// A number without a fraction, 5.0 as well as 5; nullopt for others, and for those beyond int64.
std::optional<int64_t> whole_number(const Json& value);

class Fields {
 public:
  // `path` stands before the names in errors: "stream_options.".
  explicit Fields(const Json& object, std::string path = {})
      : object_(object), path_(std::move(path)) {}

  const Json* find(std::string_view name) const;  // nullptr if absent
  bool has(std::string_view name) const { return find(name) != nullptr; }
  bool is_null(std::string_view name) const;  // there, and null
  std::string path(std::string_view name) const { return path_ + std::string(name); }

  bool boolean(std::string_view name, bool otherwise) const;
  std::optional<bool> optional_boolean(std::string_view name) const;
  std::optional<int64_t> integer(std::string_view name, int64_t least, int64_t most) const;
  int integer(std::string_view name, int otherwise, int least, int most) const;
  double number(std::string_view name, double otherwise, double least, double most) const;
  std::string text(std::string_view name, std::string otherwise = {}) const;
  std::string required_text(std::string_view name) const;
  // A string, or a list of at most `most` strings; empty if absent.
  std::vector<std::string> texts(std::string_view name, size_t most) const;
  std::optional<Fields> object(std::string_view name) const;

  const Json::object_t& members() const { return object_.get_ref<const Json::object_t&>(); }

  [[noreturn]] void wrong_type(std::string_view name, std::string_view expected) const;

 private:
  const Json& object_;
  std::string path_;
};

}  // namespace tessera::serve
