// The values that a template computes with: Python's, as far as chat templates know them.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "jinja/budget.h"

namespace tessera::jinja {

class Interpreter;
class Value;
struct List;
class Dict;
class Object;

struct None {};

// The result of looking up what does not exist. It renders as "", is false and iterates as empty;
// every other use is an Error that says `why`.
struct Undefined {
  std::shared_ptr<const std::string> why;
};

// HTML that is safe as it stands. A string in every respect but one: what is joined to it is
// escaped first, as Python's markupsafe has it.
struct Markup {
  std::shared_ptr<const std::string> text;
};

// Copying a Value is cheap: texts and containers are shared, as references are in Python.
class Value {
 public:
  using Variant =
      std::variant<None, Undefined, bool, int64_t, double, std::shared_ptr<const std::string>,
                   Markup, std::shared_ptr<List>, std::shared_ptr<Dict>, std::shared_ptr<Object>>;

  Value() = default;  // None
  template <std::same_as<bool> T>
  Value(T value) : value_(value) {}
  template <std::integral T>
  requires(!std::same_as<T, bool>) Value(T value) : value_(static_cast<int64_t>(value)) {}
  Value(double value) : value_(value) {}
  Value(std::string text) : value_(std::make_shared<const std::string>(std::move(text))) {}
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char* text) : Value(std::string(text)) {}
  Value(std::shared_ptr<List> list) : value_(std::move(list)) {}
  Value(std::shared_ptr<Dict> dict) : value_(std::move(dict)) {}
  template <std::derived_from<Object> T>
  Value(std::shared_ptr<T> object) : value_(std::shared_ptr<Object>(std::move(object))) {}
  static Value undefined(std::string why);
  static Value markup(std::string html);
  // The caller's variables. Bad UTF-8 becomes U+FFFD; too deep nesting is an Error.
  static Value from_json(const nlohmann::ordered_json& json, int depth = 0);

  template <typename T>
  const T* get_if() const {
    return std::get_if<T>(&value_);
  }
  bool is_none() const { return std::holds_alternative<None>(value_); }
  bool is_undefined() const { return std::holds_alternative<Undefined>(value_); }
  bool is_string() const { return string() != nullptr; }  // Markup counts
  bool is_markup() const { return std::holds_alternative<Markup>(value_); }
  bool is_number() const;  // bool counts, as in Python

  // The content, or nullptr if this is something else.
  const std::string* string() const;
  List* list() const;
  Dict* dict() const;
  Object* object() const;
  template <typename T>
  T* object_as() const {
    return dynamic_cast<T*>(object());
  }

  // An int or a bool as an integer.
  std::optional<int64_t> integer() const;
  // An int, bool or float as a float.
  std::optional<double> number() const;

  bool truthy() const;
  std::string type_name() const;  // Python's: "str", "dict", ...
  int nesting() const;            // 0 for a scalar, 1 for a flat container

  // Fails with an Undefined's reason, if this is one. Call before an operation on any value.
  const Value& defined() const;

 private:
  Variant value_;
};

// Everything of Python's that is a row of values. Only kList is mutable.
struct List {
  enum class Kind {
    kList,
    kTuple,
    kRange,
    kGroup,  // an item of `groupby`: a pair whose members are also .grouper and .list
    kView,   // a generator or a dict view: iterable, but neither a sequence nor subscriptable
  };
  std::vector<Value> items;
  Kind kind = Kind::kList;
  int nesting = 1;
  // How kRange and kView print: "range(0, 3)", "<generator object>"; of a dictionary's view only
  // the name, as "dict_keys", and its items follow.
  std::string repr;

  bool is_tuple() const { return kind == Kind::kTuple || kind == Kind::kGroup; }
  bool is_sequence() const { return kind != Kind::kView; }
};

// Fails if the items nest too deeply for a container around them.
Value make_list(std::vector<Value> items, List::Kind kind = List::Kind::kList,
                std::string repr = "");
inline Value make_tuple(std::vector<Value> items) {
  return make_list(std::move(items), List::Kind::kTuple);
}

// Keeps insertion order. Keys are equal when Python says so: 1, 1.0 and True are one key.
class Dict {
 public:
  using Entry = std::pair<Value, Value>;

  const Value* find(const Value& key) const;  // Error for an unhashable key
  const Value* find(std::string_view key) const;
  void set(const Value& key, Value value);  // Error if it would nest too deeply
  void remove(const Value& key);            // nothing happens if it is absent
  void clear();
  const std::vector<Entry>& entries() const { return entries_; }
  int nesting() const { return nesting_; }

 private:
  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t> index_;  // by hash_key()
  int nesting_ = 1;
};

// A tuple shares its items, so it may be far larger as a text than in memory.
inline constexpr size_t kMaxTupleKey = size_t{1} << 16;

// Equal keys give equal texts, others different ones. Error if the value is unhashable.
std::string hash_key(const Value& key);

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// What has behaviour: functions, macros, `loop`, namespaces.
class Object {
 public:
  virtual ~Object() = default;
  virtual std::string type_name() const = 0;
  virtual std::string repr() const { return fmt::format("<{} object>", type_name()); }
  virtual std::optional<Value> attribute(std::string_view) { return std::nullopt; }
  virtual std::optional<int64_t> length() const { return std::nullopt; }  // as len()
  virtual bool callable() const { return false; }
  // Called only if callable().
  virtual Value call(Interpreter&, Arguments&) { return {}; }
  // As Value::nesting(), of the values that it holds for good.
  virtual int nesting() const { return 0; }
  // Drops what it holds. See Interpreter::hold().
  virtual void release() {}
};

// Made by namespace(...): the only thing whose attributes a template can assign.
class Namespace : public Object {
 public:
  std::string type_name() const override { return "Namespace"; }
  std::optional<Value> attribute(std::string_view name) override;
  void release() override { values.clear(); }
  Dict values;
};

}  // namespace tessera::jinja
