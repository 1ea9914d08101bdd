// What can stand after `is`.
#include <cmath>

#include "jinja/builtins.h"
#include "jinja/operators.h"
#include "jinja/serialize.h"
#include "jinja/unicode.h"

namespace tessera::jinja {
namespace {

template <bool (*predicate)(const Value&)>
Value check(const Call& call) {
  call.no_arguments();
  return predicate(call.self);
}

template <Comparison op>
Value compare_with(const Call& call) {
  return compare(op, call.self, call.bind({"other"}, 1)[0], call.budget());
}

bool is_defined(const Value& value) {
  return !value.is_undefined();
}
bool is_undefined(const Value& value) {
  return value.is_undefined();
}
bool is_none(const Value& value) {
  return value.is_none();
}
bool is_string(const Value& value) {
  return value.is_string();
}
bool is_boolean(const Value& value) {
  return value.get_if<bool>() != nullptr;
}
bool is_integer(const Value& value) {
  return value.get_if<int64_t>() != nullptr;
}
bool is_float(const Value& value) {
  return value.get_if<double>() != nullptr;
}
bool is_number(const Value& value) {
  return value.is_number();
}
bool is_mapping(const Value& value) {
  return value.dict() != nullptr;
}
bool is_true(const Value& value) {
  return is_boolean(value) && value.truthy();
}
bool is_false(const Value& value) {
  return is_boolean(value) && !value.truthy();
}
bool is_markup(const Value& value) {
  return value.is_markup();
}
bool is_callable(const Value& value) {
  return value.is_undefined() || (value.object() && value.object()->callable());
}
bool is_sequence(const Value& value) {
  return value.string() || value.dict() || value.is_undefined() ||
         (value.list() && value.list()->is_sequence());
}

// Whether there are cased letters and all of them satisfy the predicate.
template <bool (*predicate)(char32_t)>
Value check_case(const Call& call) {
  call.no_arguments();
  const std::string text = to_text(call.self, call.budget());
  bool found = false;
  for (size_t i = 0; i < text.size();) {
    const char32_t c = unicode::decode(text, i);
    if (!unicode::is_cased(c)) continue;
    if (!predicate(c)) return false;
    found = true;
  }
  return found;
}

Value remainder(const Call& call, const Value& divisor) {
  return apply(BinaryOperator::kModulo, call.self, divisor, call.budget());
}

Value odd(const Call& call) {
  call.no_arguments();
  return equal(remainder(call, 2), 1, call.budget());
}

Value even(const Call& call) {
  call.no_arguments();
  return equal(remainder(call, 2), 0, call.budget());
}

Value divisible_by(const Call& call) {
  return equal(remainder(call, call.bind({"num"}, 1)[0]), 0, call.budget());
}

// The same object, for what has identity here; equal and of one type otherwise.
Value same_as(const Call& call) {
  const Value other = call.bind({"other"}, 1)[0];
  if (call.self.list() || call.self.dict() || call.self.object()) {
    return call.self.list() == other.list() && call.self.dict() == other.dict() &&
           call.self.object() == other.object();
  }
  return call.self.type_name() == other.type_name() && equal(call.self, other, call.budget());
}

Value names_filter(const Call& call) {
  call.no_arguments();
  return call.self.string() && find_filter(*call.self.string());
}

Value names_test(const Call& call) {
  call.no_arguments();
  return call.self.string() && find_test(*call.self.string());
}

// Not in Jinja, but in other engines for chat templates.
Value starting_with(const Call& call) {
  return call.self.string() &&
         call.self.string()->starts_with(call.bind({"prefix"}, 1).text(0, ""));
}

Value ending_with(const Call& call) {
  return call.self.string() && call.self.string()->ends_with(call.bind({"suffix"}, 1).text(0, ""));
}

}  // namespace

const BuiltinTable& tests() {
  static const BuiltinTable table = {
      {"defined", check<is_defined>},
      {"undefined", check<is_undefined>},
      {"none", check<is_none>},
      {"string", check<is_string>},
      {"boolean", check<is_boolean>},
      {"integer", check<is_integer>},
      {"float", check<is_float>},
      {"number", check<is_number>},
      {"mapping", check<is_mapping>},
      {"true", check<is_true>},
      {"false", check<is_false>},
      {"callable", check<is_callable>},
      {"iterable", check<is_iterable>},
      {"sequence", check<is_sequence>},
      {"escaped", check<is_markup>},
      {"lower", check_case<unicode::is_lower>},
      {"upper", check_case<unicode::is_upper>},
      {"odd", odd},
      {"even", even},
      {"divisibleby", divisible_by},
      {"sameas", same_as},
      {"filter", names_filter},
      {"test", names_test},
      {"startingwith", starting_with},
      {"endingwith", ending_with},
      {"eq", compare_with<Comparison::kEqual>},
      {"equalto", compare_with<Comparison::kEqual>},
      {"==", compare_with<Comparison::kEqual>},
      {"ne", compare_with<Comparison::kNotEqual>},
      {"!=", compare_with<Comparison::kNotEqual>},
      {"lt", compare_with<Comparison::kLess>},
      {"lessthan", compare_with<Comparison::kLess>},
      {"<", compare_with<Comparison::kLess>},
      {"le", compare_with<Comparison::kLessEqual>},
      {"<=", compare_with<Comparison::kLessEqual>},
      {"gt", compare_with<Comparison::kGreater>},
      {"greaterthan", compare_with<Comparison::kGreater>},
      {">", compare_with<Comparison::kGreater>},
      {"ge", compare_with<Comparison::kGreaterEqual>},
      {">=", compare_with<Comparison::kGreaterEqual>},
      {"in", compare_with<Comparison::kIn>},
  };
  return table;
}

}  // namespace tessera::jinja
