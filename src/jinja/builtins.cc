#include "jinja/builtins.h"

#include <algorithm>

namespace tessera::jinja {
namespace {

Builtin find(const BuiltinTable& table, std::string_view name) {
  const auto found = table.find(name);
  return found == table.end() ? nullptr : found->second;
}

// A built-in as a value: a global function, or a method with its object.
class BuiltinFunction : public Object {
 public:
  BuiltinFunction(Builtin function, std::string name, Value self)
      : function_(function), name_(std::move(name)), self_(std::move(self)) {}

  std::string type_name() const override { return "builtin_function_or_method"; }
  std::string repr() const override { return fmt::format("<built-in function {}>", name_); }
  bool callable() const override { return true; }
  int nesting() const override { return self_.nesting(); }
  Value call(Interpreter& interpreter, Arguments& arguments) override {
    if (const std::string* text = self_.string()) interpreter.budget().scan(text->size());
    Value result = function_({interpreter, name_, self_, arguments});
    return self_.is_markup() ? as_markup(result) : result;
  }

 private:
  // What a method of Markup gives is Markup: the text, or every piece of it.
  static Value as_markup(const Value& result) {
    if (const std::string* text = result.string()) return Value::markup(*text);
    const List* pieces = result.list();
    if (!pieces) return result;
    std::vector<Value> safe;
    for (const Value& piece : pieces->items) safe.push_back(as_markup(piece));
    return make_list(std::move(safe), pieces->kind);
  }

  Builtin function_;
  std::string name_;
  Value self_;
};

}  // namespace

int64_t Bound::integer(size_t i, int64_t otherwise) const {
  if (!has(i)) return otherwise;
  const auto value = values_[i]->defined().integer();
  if (!value) fail("{}() expects an integer, found {}", function_, values_[i]->type_name());
  return *value;
}

std::string Bound::text(size_t i, std::string_view otherwise) const {
  if (!has(i)) return std::string(otherwise);
  const std::string* value = values_[i]->defined().string();
  if (!value) fail("{}() expects a string, found {}", function_, values_[i]->type_name());
  return *value;
}

Bound Call::bind(std::initializer_list<std::string_view> parameters, size_t required) const {
  if (arguments.positional.size() > parameters.size()) {
    fail("{}() takes at most {} arguments, {} were given", name, parameters.size(),
         arguments.positional.size());
  }
  std::vector<std::optional<Value>> values(parameters.size());
  std::copy(arguments.positional.begin(), arguments.positional.end(), values.begin());
  for (const auto& [parameter, value] : arguments.named) {
    const auto place = std::find(parameters.begin(), parameters.end(), parameter);
    if (place == parameters.end()) fail("{}() has no argument '{}'", name, parameter);
    auto& slot = values[static_cast<size_t>(place - parameters.begin())];
    if (slot) fail("{}() got two values for '{}'", name, parameter);
    slot = value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!values[i]) fail("{}() needs the argument '{}'", name, parameters.begin()[i]);
  }
  return {name, std::move(values)};
}

Builtin find_filter(std::string_view name) {
  for (const auto* table :
       {&text_filters(), &html_filters(), &number_filters(), &sequence_filters()}) {
    if (const Builtin found = find(*table, name)) return found;
  }
  return nullptr;
}

Builtin find_test(std::string_view name) {
  return find(tests(), name);
}

Builtin find_method(const Value& self, std::string_view name) {
  if (self.is_markup()) {
    if (const Builtin found = find(markup_methods(), name)) return found;
  }
  if (self.string()) {
    const Builtin found = find(string_methods(), name);
    return found ? found : find(character_methods(), name);
  }
  if (self.dict()) return find(dict_methods(), name);
  if (self.list()) return find(list_methods(), name);
  if (self.is_number()) return find(number_methods(), name);
  return nullptr;
}

Value bind_method(Builtin method, std::string name, Value self) {
  return std::make_shared<BuiltinFunction>(method, std::move(name), std::move(self));
}

}  // namespace tessera::jinja
