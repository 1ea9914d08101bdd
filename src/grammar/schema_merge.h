// The parts of schema translation that turn schemas into schemas.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::grammar {

using Json = nlohmann::ordered_json;

// Parses, with bounded size and nesting. Throws Error.
Json parse_schema(std::string_view text);

// Throws Error naming the first keyword in `schema` that asserts something and is not supported.
// `where` is the schema's place, like "#/properties/a".
void refuse_unsupported(const Json& schema, const std::string& where);

// Whether the keyword restricts values (rather than describing them, or keeping definitions).
bool is_assertion(std::string_view keyword);

// What `reference` ("#/$defs/name") points to in `root`. Throws Error.
const Json& resolve(const Json& root, const std::string& reference, const std::string& where);

// Joins schemas. Throws Error where one schema cannot say it, and when joining takes too much work:
// references can ask for exponentially much.
class SchemaMerger {
 public:
  explicit SchemaMerger(const Json& root) : root_(root) {}
  // The schema whose values are valid under both.
  Json merge(Json a, Json b, const std::string& where);
  // The same schema without $ref and allOf at the top.
  Json flatten(Json schema, const std::string& where);

 private:
  void count_work(const Json& into, const Json& from, const std::string& where);

  const Json& root_;
  int joins_ = 0, references_ = 0;
  size_t comparisons_ = 0;
};

// The types that `schema` allows, by its `type` or else by its other keywords; empty: any.
std::vector<std::string> types_of(const Json& schema, const std::string& where);

}  // namespace tessera::grammar
