// The filters, tests, functions and methods that templates can name.
// https://jinja.palletsprojects.com/en/stable/templates/#list-of-builtin-filters
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "jinja/interpreter.h"
#include "jinja/value.h"

namespace tessera::jinja {

// Arguments in the order of a built-in's parameters.
class Bound {
 public:
  Bound(std::string_view function, std::vector<std::optional<Value>> values)
      : function_(function), values_(std::move(values)) {}

  bool has(size_t i) const { return values_[i].has_value(); }
  bool given(size_t i) const {
    return has(i) && !values_[i]->is_none();
  }  // neither absent nor None
  const Value& operator[](size_t i) const { return *values_[i]; }
  Value get(size_t i, Value otherwise) const { return has(i) ? *values_[i] : std::move(otherwise); }
  bool truth(size_t i, bool otherwise) const { return has(i) ? values_[i]->truthy() : otherwise; }
  int64_t integer(size_t i, int64_t otherwise) const;            // Error if it is not an integer
  std::string text(size_t i, std::string_view otherwise) const;  // Error if it is not a string

 private:
  std::string_view function_;
  std::vector<std::optional<Value>> values_;
};

// One call of a built-in: `self` is what a filter or test applies to, or a method's object.
struct Call {
  Interpreter& interpreter;
  std::string_view name;
  const Value& self;
  Arguments& arguments;

  Budget& budget() const { return interpreter.budget(); }
  // Matches the arguments with parameter names as Python does; the first `required` must be there.
  Bound bind(std::initializer_list<std::string_view> parameters, size_t required = 0) const;
  Bound no_arguments() const { return bind({}); }
};

// Tests return a bool.
using Builtin = Value (*)(const Call&);
using BuiltinTable = std::unordered_map<std::string_view, Builtin>;

const BuiltinTable& text_filters();
const BuiltinTable& html_filters();
const BuiltinTable& number_filters();
const BuiltinTable& sequence_filters();
const BuiltinTable& tests();
const BuiltinTable& functions();
const BuiltinTable& string_methods();
const BuiltinTable& character_methods();  // the other half of them
const BuiltinTable& markup_methods();     // beside those of str
const BuiltinTable& list_methods();
const BuiltinTable& dict_methods();
const BuiltinTable& number_methods();

// dict.fromkeys(), which the type has as well as its objects.
Value dict_from_keys(const Call& call);

// nullptr if there is none of this name.
Builtin find_filter(std::string_view name);
Builtin find_test(std::string_view name);
Builtin find_method(const Value& self, std::string_view name);
// A function as a value, or nullopt.
std::optional<Value> find_function(std::string_view name);
Value bind_method(Builtin method, std::string name, Value self);

}  // namespace tessera::jinja
