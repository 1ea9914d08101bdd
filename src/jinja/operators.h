// Python's operators on values.
#pragma once

#include <string>
#include <vector>

#include "jinja/value.h"

namespace tessera::jinja {

enum class BinaryOperator {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kConcatenate
};
enum class Comparison {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn
};

// Integers have 64 bits: a result beyond that is an Error, where Python would go on.
Value apply(BinaryOperator op, const Value& left, const Value& right, Budget& budget);
Value negate(const Value& operand);
bool compare(Comparison op, const Value& left, const Value& right, Budget& budget);

bool equal(const Value& left, const Value& right, Budget& budget);
bool less_than(const Value& left, const Value& right, Budget& budget);
bool contains(const Value& container, const Value& item, Budget& budget);

// container[key], or nullopt where Python raises an error: Jinja makes Undefined of that.
std::optional<Value> subscript(const Value& container, const Value& key, Budget& budget);
// container[start:stop:step]; each bound is an integer or None, or else the result is Undefined.
Value slice(const Value& container, const Value& start, const Value& stop, const Value& step,
            Budget& budget);

// The items that a `for` over this value sees: characters, keys, items. Error if there are none.
std::vector<Value> iterate(const Value& value, Budget& budget);
bool is_iterable(const Value& value);
// As len(). Error if the value has no length.
int64_t length(const Value& value, Budget& budget);

// Charges for hashing a key, which takes time in proportion to its size.
void charge_key(const Value& key, Budget& budget);

}  // namespace tessera::jinja
