#include "grammar/schema_document.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/printable.h"

namespace tessera::grammar {
namespace {

constexpr size_t kMaxSchema = 1 << 20;
constexpr size_t kMaxMembers = 5'000;  // of an object, which are searched one after the other
constexpr size_t kMaxUri = 2'000;      // bytes
constexpr size_t kMaxSchemaNesting = 128;

// What `reference` means beside `base` (RFC 3986, section 5, without dots in paths).
std::string joined(const std::string& base, const std::string& reference) {
  if (reference.empty()) return base;
  const size_t colon = reference.find(':');
  if (colon != std::string::npos && colon < reference.find_first_of("/?#")) return reference;
  const size_t scheme = base.find("://");
  const size_t path = scheme == std::string::npos ? 0 : base.find('/', scheme + 3);
  if (reference.starts_with('/')) return base.substr(0, path) + reference;
  const size_t last = base.rfind('/');
  if (last == std::string::npos || (scheme != std::string::npos && last < scheme + 3))
    return scheme == std::string::npos ? reference : base + "/" + reference;
  return base.substr(0, last + 1) + reference;
}

// %20 and the like as what they stand for.
std::string decoded(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto is_hex = [&](size_t at) {
      return at < text.size() && std::isxdigit(static_cast<unsigned char>(text[at])) != 0;
    };
    if (text[i] == '%' && is_hex(i + 1) && is_hex(i + 2)) {
      const char digits[] = {text[i + 1], text[i + 2], '\0'};
      result += static_cast<char>(std::strtol(digits, nullptr, 16));
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

const Json* find_within(const Json& from, const Json& sought, std::string& place) {
  if (&from == &sought) return &from;
  if (from.is_object()) {
    for (const auto& [name, member] : from.items()) {
      const size_t length = place.size();
      place += fmt::format("/{}", printable(name));
      if (const Json* found = find_within(member, sought, place)) return found;
      place.resize(length);
    }
  } else if (from.is_array()) {
    for (size_t i = 0; i < from.size(); ++i) {
      const size_t length = place.size();
      place += fmt::format("/{}", i);
      if (const Json* found = find_within(from[i], sought, place)) return found;
      place.resize(length);
    }
  }
  return nullptr;
}

// Before it is parsed: the parser's time would grow with the square of an object's members.
void refuse_large_structure(std::string_view text) {
  std::vector<size_t> members;  // of the values that are open
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      members.push_back(0);
      if (members.size() > kMaxSchemaNesting)
        fail("json_schema: nested more than {} deep", kMaxSchemaNesting);
    } else if ((c == '}' || c == ']') && !members.empty()) {
      members.pop_back();
    } else if (c == ':' && !members.empty() && ++members.back() > kMaxMembers) {
      fail("json_schema: an object of more than {} members is not supported", kMaxMembers);
    }
  }
}

}  // namespace

Json parse_schema(std::string_view text) {
  if (text.size() > kMaxSchema)
    fail("json_schema: {} bytes are too many, at most {} expected", text.size(), kMaxSchema);
  refuse_large_structure(text);
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    fail("json_schema: this is not JSON: {}", printable(error.what(), 200));
  }
}

SchemaDocument::SchemaDocument(std::string_view text) : root_(parse_schema(text)) {
  if (root_.is_object() && root_.contains("$schema"))
    legacy_ = root_["$schema"].dump().find("/draft-0") != std::string::npos;
  index(root_, kept(""));
}

const std::string* SchemaDocument::kept(std::string uri) {
  if (uri.size() > kMaxUri)
    fail("json_schema: '$id' is '{}', more than {} bytes", printable(uri), kMaxUri);
  return &*uris_.insert(std::move(uri)).first;
}

void SchemaDocument::index(const Json& value, const std::string* outer) {
  if (value.is_array()) {
    for (const Json& item : value) index(item, outer);
    return;
  }
  if (!value.is_object()) return;
  const std::string* base = outer;
  const bool is_reference = value.contains("$ref") && value["$ref"].is_string();
  for (const char* keyword : {"$id", "id"}) {  // draft 4 has the latter
    const auto id = value.find(keyword);
    if (id == value.end() || !id->is_string()) continue;
    if (is_reference && legacy_) break;  // nothing beside $ref counted until draft 7
    std::string name = *id;
    if (name.starts_with('#')) {  // until draft 7 this was an anchor
      anchors_.emplace(std::pair(base, name.substr(1)), &value);
      break;
    }
    if (name.ends_with('#')) name.pop_back();
    base = kept(&value == &root_ ? name : joined(*outer, name));
    resources_.emplace(base, &value);
    break;
  }
  for (const char* keyword : {"$anchor", "$dynamicAnchor"}) {
    const auto anchor = value.find(keyword);
    if (anchor != value.end() && anchor->is_string())
      anchors_.emplace(std::pair(base, anchor->get<std::string>()), &value);
  }
  if (&value == &root_) resources_.emplace(base, &value);
  if (value.contains("$ref") && !base->empty()) bases_.emplace(&value, base);
  for (const auto& [keyword, member] : value.items()) {
    if (keyword == "enum" || keyword == "const" || keyword == "default" || keyword == "examples")
      continue;
    index(member, base);
  }
}

const Json& SchemaDocument::target_of(const Json& schema) const {
  const Json& given = schema["$ref"];
  if (!given.is_string()) fail("json_schema: {}: '$ref' is no string", place_of(schema));
  const std::string reference = given;
  const size_t hash = std::min(reference.find('#'), reference.size());
  const std::string fragment =
      hash < reference.size() ? decoded(std::string_view(reference).substr(hash + 1)) : "";
  const auto known = bases_.find(&schema);
  const std::string base =
      joined(known == bases_.end() ? "" : *known->second, reference.substr(0, hash));
  const auto uri = uris_.find(base);
  const auto resource = uri == uris_.end() ? resources_.end() : resources_.find(&*uri);
  if (resource == resources_.end() && !base.empty()) {
    fail("json_schema: {}: $ref '{}' is not supported, only what is in the schema itself is",
         place_of(schema), printable(reference));
  }
  const Json& from = resource == resources_.end() ? root_ : *resource->second;
  if (fragment.empty()) return from;
  // Many a schema counts from its root although an `id` between says otherwise.
  for (const Json* whole : {&from, &root_}) {
    if (!fragment.starts_with('/')) break;
    const Json::json_pointer pointer(fragment);
    if (whole->contains(pointer)) return whole->at(pointer);
  }
  const auto anchor =
      uri == uris_.end() ? anchors_.end() : anchors_.find(std::pair(&*uri, fragment));
  if (anchor != anchors_.end()) return *anchor->second;
  fail("json_schema: {}: $ref '{}' leads nowhere", place_of(schema), printable(reference));
}

std::string SchemaDocument::place_of(const Json& schema) const {
  std::string place = "#";
  find_within(root_, schema, place);
  return place;
}

int count_of(const SchemaDocument& document, const Json& schema, const char* keyword,
             int otherwise) {
  const auto found = schema.find(keyword);
  if (found == schema.end()) return otherwise;
  const double count = found->is_number() ? found->get<double>() : -1;
  if (count != std::trunc(count) || count < 0)
    fail("json_schema: {}: '{}' is no count", document.place_of(schema), keyword);
  return static_cast<int>(std::min(count, double{std::numeric_limits<int>::max()}));
}

}  // namespace tessera::grammar
