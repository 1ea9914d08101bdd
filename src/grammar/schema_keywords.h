// What the keywords of a schema say themselves, apart from those that apply other schemas in place.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "grammar/schema_document.h"
#include "grammar/schema_shape.h"

namespace tessera::grammar {

inline constexpr size_t kMaxProperties = 1000;  // of one schema
inline constexpr size_t kMaxPrefixItems = 256;

class SchemaKeywords {
 public:
  explicit SchemaKeywords(const SchemaDocument& document) : document_(document) {}

  // Throws Error for what is malformed or not supported.
  Shape shape_of(const Json& schema);

  // The parts, for those who negate them.
  Types types_of(const Json& schema, bool& whole) const;  // kNumber with `whole`: integers
  std::optional<NumberSet::Bound> bound(const Json& schema, bool is_min) const;
  SharedLanguage pattern(const Json& schema, const Json& given);
  static SharedLanguage name(const std::string& name);  // all but this one
  // A list of names, as of `required`.
  std::vector<std::string> names(const Json& schema, const char* keyword, const Json& list) const;
  const Json& object(const Json& schema, const char* keyword) const;  // {} if it is not there

  // Throws Error, naming the place of `schema`.
  template <typename... Args>
  [[noreturn]] void refuse(const Json& schema, fmt::format_string<Args...> format,
                           Args&&... args) const {
    refuse_at(schema, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  [[noreturn]] void refuse_at(const Json& schema, const std::string& what) const;
  void refuse_unsupported(const Json& schema) const;
  StringShape strings(const Json& schema);
  NumberSet numbers(const Json& schema) const;
  ArrayShape arrays(const Json& schema) const;
  ObjectShape objects(const Json& schema, Evaluated& evaluated);
  void add_patterns(const Json& schema, ObjectShape& objects, Evaluated& evaluated);

  const SchemaDocument& document_;
  std::map<std::string, SharedLanguage> patterns_;
};

// Whether the schema has any of the keywords that are about this type.
bool speaks_of(const Json& schema, Types type);

}  // namespace tessera::grammar
