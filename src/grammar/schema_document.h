// The text of a JSON schema, and what its references lead to.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace tessera::grammar {

using Json = nlohmann::ordered_json;

// Parses, with bounded size and nesting. Throws Error.
Json parse_schema(std::string_view text);

class SchemaDocument {
 public:
  explicit SchemaDocument(std::string_view text);
  SchemaDocument(const SchemaDocument&) = delete;
  SchemaDocument& operator=(const SchemaDocument&) = delete;

  const Json& root() const { return root_; }
  // What `$ref` of `schema`, a part of the document, leads to: a place within it, by a pointer, an
  // anchor, or the `$id` of a part. Throws Error.
  const Json& target_of(const Json& schema) const;
  // Where a part of the document is, as "#/properties/a"; "#" for what is none. Takes a while.
  std::string place_of(const Json& schema) const;

 private:
  void index(const Json& value, const std::string* base);
  const std::string* kept(std::string uri);

  const Json root_;
  bool legacy_ = false;         // draft 7 or older
  std::set<std::string> uris_;  // of resources, each once: many parts share one
  std::map<const std::string*, const Json*> resources_;                        // by URI
  std::map<std::pair<const std::string*, std::string>, const Json*> anchors_;  // within a URI
  std::unordered_map<const Json*, const std::string*> bases_;  // of schemas with $ref
};

// The keyword's value, which must be a count (minItems, maxLength and the like).
int count_of(const SchemaDocument& document, const Json& schema, const char* keyword,
             int otherwise);

}  // namespace tessera::grammar
