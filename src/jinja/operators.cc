#include "jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "jinja/html.h"
#include "jinja/percent_format.h"
#include "jinja/serialize.h"
#include "jinja/unicode.h"

namespace tessera::jinja {
namespace {

const char* symbol(BinaryOperator op) {
  constexpr const char* kSymbols[] = {"+", "-", "*", "/", "//", "%", "**", "~"};
  return kSymbols[static_cast<int>(op)];
}

const char* symbol(Comparison op) {
  constexpr const char* kSymbols[] = {"==", "!=", "<", "<=", ">", ">=", "in", "not in"};
  return kSymbols[static_cast<int>(op)];
}

[[noreturn]] void fail_overflow(const char* op) {
  fail("the result of '{}' does not fit 64 bits", op);
}

int64_t integer_power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) fail_overflow("**");
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) fail_overflow("**");
  }
  return result;
}

double float_power(double base, double exponent) {
  if (base == 0 && exponent < 0) fail("0.0 cannot be raised to a negative power");
  if (base < 0 && std::floor(exponent) != exponent) fail("the power is a complex number");
  const double result = std::pow(base, exponent);
  if (std::isinf(result) && std::isfinite(base) && std::isfinite(exponent)) fail_overflow("**");
  return result;
}

// Python rounds the quotient down, so the remainder has the divisor's sign.
Value integer_divide(BinaryOperator op, int64_t a, int64_t b) {
  if (b == 0) fail("integer division or modulo by zero");
  if (b == -1) {
    if (op == BinaryOperator::kModulo) return 0;
    if (a == INT64_MIN) fail_overflow("//");
    return -a;
  }
  const bool adjust = a % b != 0 && (a < 0) != (b < 0);
  return op == BinaryOperator::kModulo ? a % b + (adjust ? b : 0) : a / b - (adjust ? 1 : 0);
}

double float_modulo(double a, double b) {
  if (b == 0) fail("float modulo by zero");
  double remainder = std::fmod(a, b);
  if (remainder != 0 && (remainder < 0) != (b < 0)) remainder += b;
  return remainder == 0 ? std::copysign(0.0, b) : remainder;
}

double float_floor_divide(double a, double b) {
  if (b == 0) fail("float floor division by zero");
  const double quotient = (a - float_modulo(a, b)) / b;
  const double whole = std::floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

Value integer_arithmetic(BinaryOperator op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case BinaryOperator::kAdd:
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case BinaryOperator::kSubtract:
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case BinaryOperator::kMultiply:
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    case BinaryOperator::kDivide:
      if (b == 0) fail("division by zero");
      return static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b));
    case BinaryOperator::kPower:
      if (b < 0) return float_power(static_cast<double>(a), static_cast<double>(b));
      return integer_power(a, b);
    default:
      return integer_divide(op, a, b);
  }
  if (overflow) fail_overflow(symbol(op));
  return result;
}

Value float_arithmetic(BinaryOperator op, double a, double b) {
  switch (op) {
    case BinaryOperator::kAdd:
      return a + b;
    case BinaryOperator::kSubtract:
      return a - b;
    case BinaryOperator::kMultiply:
      return a * b;
    case BinaryOperator::kDivide:
      if (b == 0) fail("float division by zero");
      return a / b;
    case BinaryOperator::kPower:
      return float_power(a, b);
    case BinaryOperator::kModulo:
      return float_modulo(a, b);
    default:
      return float_floor_divide(a, b);
  }
}

// What is cut from or made of Markup is Markup.
Value like(const Value& original, std::string text) {
  return original.is_markup() ? Value::markup(std::move(text)) : Value(std::move(text));
}

std::optional<Value> repeat(const Value& sequence, const Value& count, Budget& budget) {
  const auto times = count.integer();
  const std::string* text = sequence.string();
  const List* list = sequence.list();
  if (!times || (!text && !(list && (list->is_tuple() || list->kind == List::Kind::kList)))) {
    return std::nullopt;
  }
  const uint64_t repeats = static_cast<uint64_t>(std::max<int64_t>(*times, 0));
  uint64_t total;
  if (__builtin_mul_overflow(repeats, text ? text->size() : list->items.size(), &total)) {
    fail("repeating {} times is too much", repeats);
  }
  if (text) {
    budget.create_text(total);
    std::string out;
    out.reserve(total);
    if (total > 0) {
      for (uint64_t i = 0; i < repeats; ++i) out += *text;
    }
    return like(sequence, std::move(out));
  }
  budget.create_items<Value>(total);
  std::vector<Value> items;
  items.reserve(total);
  while (items.size() < total) items.insert(items.end(), list->items.begin(), list->items.end());
  return make_list(std::move(items), list->is_tuple() ? List::Kind::kTuple : List::Kind::kList);
}

std::optional<Value> add_sequences(const Value& left, const Value& right, Budget& budget) {
  if (left.string() && right.string()) {
    if (left.is_markup() || right.is_markup()) {
      const Value first = escape(left, budget), second = escape(right, budget);
      budget.create_text(first.string()->size() + second.string()->size());
      return Value::markup(*first.string() + *second.string());
    }
    budget.create_text(left.string()->size() + right.string()->size());
    return *left.string() + *right.string();
  }
  const List* a = left.list();
  const List* b = right.list();
  if (!a || !b || a->is_tuple() != b->is_tuple()) return std::nullopt;
  if (!a->is_tuple() && (a->kind != List::Kind::kList || b->kind != List::Kind::kList)) {
    return std::nullopt;
  }
  budget.create_items<Value>(a->items.size() + b->items.size());
  std::vector<Value> items = a->items;
  items.insert(items.end(), b->items.begin(), b->items.end());
  return make_list(std::move(items), a->is_tuple() ? List::Kind::kTuple : List::Kind::kList);
}

// Exact for every pair of int and float: a long double holds both.
template <typename T>
int order(T a, T b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

enum class Order { kLess, kEqual, kGreater, kUnordered };

Order to_order(int sign) {
  return sign < 0 ? Order::kLess : sign > 0 ? Order::kGreater : Order::kEqual;
}

Order compare_numbers(const Value& left, const Value& right) {
  const auto wide = [](const Value& value) {
    const auto integer = value.integer();
    return integer ? static_cast<long double>(*integer) : static_cast<long double>(*value.number());
  };
  const long double a = wide(left), b = wide(right);
  if (std::isnan(a) || std::isnan(b)) return Order::kUnordered;
  return to_order(order(a, b));
}

// The order of two values that can be ordered; Error for others, as in Python.
Order compare_order(Comparison op, const Value& left, const Value& right, Budget& budget) {
  const Budget::Nested nested(budget);
  budget.step();
  left.defined();
  right.defined();
  if (left.is_number() && right.is_number()) return compare_numbers(left, right);
  if (left.string() && right.string()) {
    // UTF-8 sorts as its code points do.
    budget.scan(std::min(left.string()->size(), right.string()->size()));
    return to_order(left.string()->compare(*right.string()));
  }
  const List* a = left.list();
  const List* b = right.list();
  if (a && b && a->is_tuple() == b->is_tuple() && a->is_sequence() && b->is_sequence()) {
    const size_t common = std::min(a->items.size(), b->items.size());
    for (size_t i = 0; i < common; ++i) {
      if (!equal(a->items[i], b->items[i], budget)) {
        return compare_order(op, a->items[i], b->items[i], budget);
      }
    }
    return to_order(order(a->items.size(), b->items.size()));
  }
  fail("'{}' not supported between '{}' and '{}'", symbol(op), left.type_name(), right.type_name());
}

bool equal_lists(const List& a, const List& b, Budget& budget) {
  if (&a == &b) return true;
  if (a.is_tuple() != b.is_tuple() || !a.is_sequence() || !b.is_sequence()) return false;
  return std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(),
                    [&](const Value& x, const Value& y) { return equal(x, y, budget); });
}

bool equal_dicts(const Dict& a, const Dict& b, Budget& budget) {
  if (a.entries().size() != b.entries().size()) return false;
  return std::all_of(a.entries().begin(), a.entries().end(), [&](const Dict::Entry& entry) {
    charge_key(entry.first, budget);
    const Value* other = b.find(entry.first);
    return other && equal(entry.second, *other, budget);
  });
}

struct SliceBounds {
  int64_t start, stop, step;
};

SliceBounds resolve_slice(int64_t size, const Value& start, const Value& stop, const Value& step) {
  // A huge stride has the same effect as any stride beyond the length, and cannot overflow.
  const int64_t stride = std::clamp(step.integer().value_or(1), -(size + 1), size + 1);
  if (stride == 0) fail("slice step cannot be zero");
  const int64_t lowest = stride < 0 ? -1 : 0;
  const int64_t highest = stride < 0 ? size - 1 : size;
  const auto place = [&](std::optional<int64_t> index, int64_t otherwise) {
    if (!index) return otherwise;
    if (*index < 0) return std::max(*index + size, lowest);
    return std::min(*index, highest);
  };
  return {place(start.integer(), stride < 0 ? highest : lowest),
          place(stop.integer(), stride < 0 ? lowest : highest), stride};
}

template <typename Take>
void for_each_in_slice(const SliceBounds& bounds, Take&& take) {
  if (bounds.step > 0) {
    for (int64_t i = bounds.start; i < bounds.stop; i += bounds.step) take(static_cast<size_t>(i));
  } else {
    for (int64_t i = bounds.start; i > bounds.stop; i += bounds.step) take(static_cast<size_t>(i));
  }
}

std::string slice_text(const std::string& text, const Value& start, const Value& stop,
                       const Value& step, Budget& budget) {
  budget.create_text(text.size());
  const auto size = static_cast<int64_t>(unicode::length(text));
  const SliceBounds bounds = resolve_slice(size, start, stop, step);
  if (bounds.step == 1) {
    if (bounds.stop <= bounds.start) return "";
    const std::string_view rest =
        std::string_view(text).substr(unicode::offset(text, static_cast<size_t>(bounds.start)));
    const size_t size_kept = unicode::offset(rest, static_cast<size_t>(bounds.stop - bounds.start));
    return std::string(rest.substr(0, size_kept));
  }
  budget.create_items<std::string_view>(static_cast<uint64_t>(size));
  const auto characters = unicode::split_code_points(text);
  std::string out;
  for_each_in_slice(bounds, [&](size_t i) { out += characters[i]; });
  return out;
}

}  // namespace

void charge_key(const Value& key, Budget& budget) {
  if (const std::string* text = key.string()) {
    budget.scan(text->size());
  } else {
    budget.scan(key.list() ? kMaxTupleKey : 1);
  }
}

Value apply(BinaryOperator op, const Value& left, const Value& right, Budget& budget) {
  if (op == BinaryOperator::kConcatenate) {
    std::string out = to_text(left, budget);
    const std::string tail = to_text(right, budget);
    budget.create_text(out.size() + tail.size());
    return out += tail;
  }
  if (op == BinaryOperator::kModulo && left.string()) return percent_format(left, right, budget);
  left.defined();
  right.defined();
  const auto a = left.integer(), b = right.integer();
  if (a && b) return integer_arithmetic(op, *a, *b);
  if (left.is_number() && right.is_number()) {
    return float_arithmetic(op, *left.number(), *right.number());
  }
  std::optional<Value> result;
  if (op == BinaryOperator::kAdd) result = add_sequences(left, right, budget);
  if (op == BinaryOperator::kMultiply) {
    result = repeat(left, right, budget);
    if (!result) result = repeat(right, left, budget);
  }
  if (!result) {
    fail("unsupported operand types for {}: '{}' and '{}'", symbol(op), left.type_name(),
         right.type_name());
  }
  return *result;
}

Value negate(const Value& operand) {
  if (const auto integer = operand.defined().integer()) {
    if (*integer == INT64_MIN) fail_overflow("-");
    return -*integer;
  }
  if (const auto number = operand.number()) return -*number;
  fail("bad operand type for unary -: '{}'", operand.type_name());
}

bool equal(const Value& left, const Value& right, Budget& budget) {
  const Budget::Nested nested(budget);
  budget.step();
  if (left.is_number() && right.is_number()) return compare_numbers(left, right) == Order::kEqual;
  if (left.string() && right.string()) {
    if (left.string()->size() != right.string()->size()) return false;
    budget.scan(left.string()->size());
    return *left.string() == *right.string();
  }
  if (left.list() && right.list()) return equal_lists(*left.list(), *right.list(), budget);
  if (left.dict() && right.dict()) return equal_dicts(*left.dict(), *right.dict(), budget);
  if (left.object() || right.object()) return left.object() == right.object();
  return (left.is_none() && right.is_none()) || (left.is_undefined() && right.is_undefined());
}

bool less_than(const Value& left, const Value& right, Budget& budget) {
  return compare(Comparison::kLess, left, right, budget);
}

bool compare(Comparison op, const Value& left, const Value& right, Budget& budget) {
  switch (op) {
    case Comparison::kEqual:
      return equal(left, right, budget);
    case Comparison::kNotEqual:
      return !equal(left, right, budget);
    case Comparison::kIn:
      return contains(right, left, budget);
    case Comparison::kNotIn:
      return !contains(right, left, budget);
    default:
      break;
  }
  const Order found = compare_order(op, left, right, budget);
  const bool orders_less = op == Comparison::kLess || op == Comparison::kLessEqual;
  const bool takes_equal = op == Comparison::kLessEqual || op == Comparison::kGreaterEqual;
  return found == (orders_less ? Order::kLess : Order::kGreater) ||
         (takes_equal && found == Order::kEqual);
}

bool contains(const Value& container, const Value& item, Budget& budget) {
  if (const std::string* text = container.string()) {
    if (!item.string())
      fail("'in <string>' requires a string on its left, not {}", item.type_name());
    budget.scan(text->size() + item.string()->size());
    return unicode::find(*text, *item.string()) != std::string::npos;
  }
  if (const Dict* dict = container.dict()) {
    charge_key(item, budget);
    return dict->find(item) != nullptr;
  }
  if (const List* list = container.list()) {
    return std::any_of(list->items.begin(), list->items.end(),
                       [&](const Value& other) { return equal(item, other, budget); });
  }
  if (container.is_undefined()) return false;
  fail("argument of type '{}' is not iterable", container.type_name());
}

std::optional<Value> subscript(const Value& container, const Value& key, Budget& budget) {
  if (const Dict* dict = container.dict()) {
    if (key.list() && !key.list()->is_tuple()) return std::nullopt;
    if (key.dict()) return std::nullopt;
    charge_key(key, budget);
    const Value* found = dict->find(key);
    return found ? std::optional(*found) : std::nullopt;
  }
  auto index = key.integer();
  if (!index) return std::nullopt;
  if (const List* list = container.list(); list && list->is_sequence()) {
    const auto size = static_cast<int64_t>(list->items.size());
    if (*index < 0) *index += size;
    if (*index < 0 || *index >= size) return std::nullopt;
    return list->items[static_cast<size_t>(*index)];
  }
  if (const std::string* text = container.string()) {
    budget.scan(text->size());
    const auto size = static_cast<int64_t>(unicode::length(*text));
    if (*index < 0) *index += size;
    if (*index < 0 || *index >= size) return std::nullopt;
    size_t position = unicode::offset(*text, static_cast<size_t>(*index));
    const size_t begin = position;
    unicode::decode(*text, position);
    return like(container, text->substr(begin, position - begin));
  }
  return std::nullopt;
}

Value slice(const Value& container, const Value& start, const Value& stop, const Value& step,
            Budget& budget) {
  const Value not_sliceable = Value::undefined(
      fmt::format("'{} object' cannot be sliced like that", container.defined().type_name()));
  for (const Value* bound : {&start, &stop, &step}) {
    if (!bound->defined().is_none() && !bound->integer()) return not_sliceable;
  }
  if (const std::string* text = container.string()) {
    return like(container, slice_text(*text, start, stop, step, budget));
  }
  const List* list = container.list();
  if (!list || !list->is_sequence()) return not_sliceable;
  const SliceBounds bounds =
      resolve_slice(static_cast<int64_t>(list->items.size()), start, stop, step);
  std::vector<Value> items;
  for_each_in_slice(bounds, [&](size_t i) { items.push_back(list->items[i]); });
  budget.create_items<Value>(items.size());
  return make_list(std::move(items), list->is_tuple() ? List::Kind::kTuple : List::Kind::kList);
}

std::vector<Value> iterate(const Value& value, Budget& budget) {
  std::vector<Value> items;
  if (const List* list = value.list()) {
    budget.create_items<Value>(list->items.size());
    items = list->items;
  } else if (const Dict* dict = value.dict()) {
    budget.create_items<Value>(dict->entries().size());
    for (const auto& [key, item] : dict->entries()) items.push_back(key);
  } else if (const std::string* text = value.string()) {
    budget.create_items<std::string>(2 * unicode::length(*text));
    for (const std::string_view character : unicode::split_code_points(*text))
      items.emplace_back(character);
  } else if (!value.is_undefined()) {
    fail("'{}' object is not iterable", value.type_name());
  }
  return items;
}

bool is_iterable(const Value& value) {
  return value.list() || value.dict() || value.string() || value.is_undefined();
}

int64_t length(const Value& value, Budget& budget) {
  if (const std::string* text = value.string()) {
    budget.scan(text->size());
    return static_cast<int64_t>(unicode::length(*text));
  }
  if (const List* list = value.list()) return static_cast<int64_t>(list->items.size());
  if (const Dict* dict = value.dict()) return static_cast<int64_t>(dict->entries().size());
  if (value.is_undefined()) return 0;
  if (const Object* object = value.object()) {
    if (const auto size = object->length()) return *size;
  }
  fail("object of type '{}' has no len()", value.type_name());
}

}  // namespace tessera::jinja
