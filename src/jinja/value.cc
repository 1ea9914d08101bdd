#include "jinja/value.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "jinja/unicode.h"

namespace tessera::jinja {
namespace {

int checked_nesting(int nesting) {
  if (nesting > kMaxNesting) fail("lists or dictionaries nest deeper than {}", kMaxNesting);
  return nesting;
}

void append_sized(std::string& out, char tag, std::string_view bytes) {
  out += tag;
  out += std::to_string(bytes.size());
  out += ':';
  out += bytes;
}

void append_hash_key(std::string& out, const Value& key, int depth) {
  if (const auto integer = key.integer()) {
    append_sized(out, 'i', std::to_string(*integer));
  } else if (const double* number = key.get_if<double>()) {
    // A float that is a whole number is the same key as the integer.
    if (std::floor(*number) == *number && std::abs(*number) < 0x1p63) {
      append_sized(out, 'i', std::to_string(static_cast<int64_t>(*number)));
    } else {
      append_sized(out, 'f', std::to_string(std::bit_cast<uint64_t>(*number)));
    }
  } else if (const std::string* text = key.string()) {
    append_sized(out, 's', *text);
  } else if (key.is_none()) {
    out += 'n';
  } else if (key.is_undefined()) {
    out += 'u';
  } else if (const List* list = key.list(); list && list->is_tuple() && depth < kMaxNesting) {
    append_sized(out, 't', std::to_string(list->items.size()));
    for (const Value& item : list->items) {
      append_hash_key(out, item, depth + 1);
      if (out.size() > kMaxTupleKey) fail("a tuple is too large to be a key");
    }
  } else if (const Object* object = key.object()) {
    append_sized(out, 'o', std::to_string(reinterpret_cast<uintptr_t>(object)));
  } else {
    fail("unhashable type: '{}'", key.type_name());
  }
}

}  // namespace

Value Value::undefined(std::string why) {
  Value value;
  value.value_ = Undefined{std::make_shared<const std::string>(std::move(why))};
  return value;
}

Value Value::markup(std::string html) {
  Value value;
  value.value_ = Markup{std::make_shared<const std::string>(std::move(html))};
  return value;
}

Value Value::from_json(const nlohmann::ordered_json& json, int depth) {
  checked_nesting(depth);
  using Type = nlohmann::ordered_json::value_t;
  switch (json.type()) {
    case Type::boolean:
      return json.get<bool>();
    case Type::number_integer:
      return json.get<int64_t>();
    case Type::number_unsigned:
      if (json.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()}) {
        fail("the number {} does not fit 64 bits with a sign", json.get<uint64_t>());
      }
      return json.get<int64_t>();
    case Type::number_float:
      return json.get<double>();
    case Type::string:
      return replace_invalid_bytes(json.get_ref<const std::string&>());
    case Type::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(from_json(item, depth + 1));
      return make_list(std::move(items));
    }
    case Type::object: {
      auto dict = std::make_shared<Dict>();
      for (const auto& [key, item] : json.items()) {
        dict->set(replace_invalid_bytes(key), from_json(item, depth + 1));
      }
      return dict;
    }
    default:
      return {};
  }
}

bool Value::is_number() const {
  return number().has_value();
}

const std::string* Value::string() const {
  const auto* text = get_if<std::shared_ptr<const std::string>>();
  if (text) return text->get();
  const Markup* markup = get_if<Markup>();
  return markup ? markup->text.get() : nullptr;
}

List* Value::list() const {
  const auto* list = get_if<std::shared_ptr<List>>();
  return list ? list->get() : nullptr;
}

Dict* Value::dict() const {
  const auto* dict = get_if<std::shared_ptr<Dict>>();
  return dict ? dict->get() : nullptr;
}

Object* Value::object() const {
  const auto* object = get_if<std::shared_ptr<Object>>();
  return object ? object->get() : nullptr;
}

std::optional<int64_t> Value::integer() const {
  if (const int64_t* value = get_if<int64_t>()) return *value;
  if (const bool* value = get_if<bool>()) return *value ? 1 : 0;
  return std::nullopt;
}

std::optional<double> Value::number() const {
  if (const double* value = get_if<double>()) return *value;
  if (const auto value = integer()) return static_cast<double>(*value);
  return std::nullopt;
}

bool Value::truthy() const {
  if (is_none() || is_undefined()) return false;
  if (const double* value = get_if<double>()) return *value != 0;
  if (const auto value = integer()) return *value != 0;
  if (const std::string* text = string()) return !text->empty();
  if (const List* items = list()) {
    // A generator is true even when nothing comes out of it.
    return !items->items.empty() || (items->kind == List::Kind::kView && items->repr[0] == '<');
  }
  if (const Dict* entries = dict()) return !entries->entries().empty();
  return true;
}

std::string Value::type_name() const {
  if (is_none()) return "NoneType";
  if (is_undefined()) return "Undefined";
  if (get_if<bool>()) return "bool";
  if (get_if<int64_t>()) return "int";
  if (get_if<double>()) return "float";
  if (is_markup()) return "Markup";
  if (string()) return "str";
  if (dict()) return "dict";
  if (const List* items = list()) {
    switch (items->kind) {
      case List::Kind::kList:
        return "list";
      case List::Kind::kRange:
        return "range";
      case List::Kind::kView:
        return "generator";
      default:
        return "tuple";
    }
  }
  return object()->type_name();
}

int Value::nesting() const {
  if (const List* items = list()) return items->nesting;
  if (const Dict* entries = dict()) return entries->nesting();
  if (const Object* thing = object()) return thing->nesting();
  return 0;
}

const Value& Value::defined() const {
  if (const Undefined* undefined = get_if<Undefined>()) fail("{}", *undefined->why);
  return *this;
}

Value make_list(std::vector<Value> items, List::Kind kind, std::string repr) {
  int nesting = 0;
  for (const Value& item : items) nesting = std::max(nesting, item.nesting());
  auto list = std::make_shared<List>();
  list->items = std::move(items);
  list->kind = kind;
  list->nesting = checked_nesting(nesting + 1);
  list->repr = std::move(repr);
  return list;
}

std::string hash_key(const Value& key) {
  std::string out;
  append_hash_key(out, key, 0);
  return out;
}

const Value* Dict::find(const Value& key) const {
  const auto found = index_.find(hash_key(key));
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

const Value* Dict::find(std::string_view key) const {
  std::string hashed;
  append_sized(hashed, 's', key);
  const auto found = index_.find(hashed);
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

void Dict::set(const Value& key, Value value) {
  nesting_ = checked_nesting(std::max({nesting_, key.nesting() + 1, value.nesting() + 1}));
  const auto [place, inserted] = index_.try_emplace(hash_key(key), entries_.size());
  if (inserted) {
    entries_.emplace_back(key, std::move(value));
  } else {
    entries_[place->second].second = std::move(value);
  }
}

void Dict::remove(const Value& key) {
  const auto found = index_.find(hash_key(key));
  if (found == index_.end()) return;
  const size_t position = found->second;
  entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(position));
  index_.erase(found);
  for (auto& [name, place] : index_) place -= place > position;
}

void Dict::clear() {
  entries_.clear();
  index_.clear();
}

std::optional<Value> Namespace::attribute(std::string_view name) {
  if (const Value* value = values.find(name)) return *value;
  return std::nullopt;
}

}  // namespace tessera::jinja
