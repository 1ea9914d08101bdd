// The expressions of the interpreter.
#include <nlohmann/json.hpp>

#include "jinja/builtins.h"
#include "jinja/html.h"
#include "jinja/interpreter.h"
#include "jinja/operators.h"
#include "jinja/serialize.h"

namespace tessera::jinja {
namespace {

// As Jinja words it.
std::string describe_missing(const Value& object, const Value& key, Budget& budget) {
  const std::string owner =
      object.is_none() ? "None" : fmt::format("'{} object'", object.type_name());
  if (key.string() && key.string()->size() > 100)
    return fmt::format("{} has no such attribute", owner);
  return fmt::format("{} has no {} {}", owner, key.string() ? "attribute" : "element",
                     repr(key, budget));
}

}  // namespace

Value Interpreter::evaluate(const ast::Expression& expression) {
  const Budget::Nested nested(budget_);
  budget_.step();
  line_ = expression.line;
  return std::visit([this](const auto& node) -> Value { return evaluate(node); }, expression.node);
}

std::vector<Value> Interpreter::evaluate_all(const std::vector<ast::ExpressionPtr>& expressions) {
  std::vector<Value> values;
  values.reserve(expressions.size());
  for (const auto& expression : expressions) values.push_back(evaluate(*expression));
  return values;
}

Value Interpreter::evaluate(const ast::Sequence& sequence) {
  budget_.create_items<Value>(sequence.items.size());
  return make_list(evaluate_all(sequence.items),
                   sequence.is_tuple ? List::Kind::kTuple : List::Kind::kList);
}

Value Interpreter::evaluate(const ast::Mapping& mapping) {
  auto dict = std::make_shared<Dict>();
  budget_.create_items<Dict::Entry>(mapping.entries.size());
  for (const auto& [key_expression, value_expression] : mapping.entries) {
    const Value key = evaluate(*key_expression);
    charge_key(key, budget_);
    dict->set(key, evaluate(*value_expression));
  }
  return dict;
}

Value Interpreter::evaluate(const ast::Attribute& attribute) {
  return get_attribute(evaluate(*attribute.object), attribute.name);
}

Value Interpreter::evaluate(const ast::Subscript& subscript) {
  const Value object = evaluate(*subscript.object);
  return get_item(object, evaluate(*subscript.index));
}

Value Interpreter::evaluate(const ast::Slice& node) {
  const auto bound = [this](const ast::ExpressionPtr& expression) {
    return expression ? evaluate(*expression) : Value();
  };
  const Value object = evaluate(*node.object);
  const Value start = bound(node.start);
  const Value stop = bound(node.stop);
  const Value step = bound(node.step);
  return slice(object, start, stop, step, budget_);
}

Value Interpreter::evaluate(const ast::Call& node) {
  const Value callee = evaluate(*node.callee);
  Arguments arguments = evaluate(node.arguments);
  return call(callee, arguments);
}

Value Interpreter::evaluate(const ast::Filter& filter) {
  const Value subject = filter.subject ? evaluate(*filter.subject) : block_text_;
  Arguments arguments = evaluate(filter.arguments);
  return apply_filter(filter.name, subject, arguments);
}

Value Interpreter::evaluate(const ast::Test& test) {
  const Value subject = evaluate(*test.subject);
  Arguments arguments = evaluate(test.arguments);
  return apply_test(test.name, subject, arguments);
}

Value Interpreter::evaluate(const ast::Unary& unary) {
  const Value operand = evaluate(*unary.operand);
  switch (unary.op) {
    case ast::Unary::Operator::kNot:
      return !operand.truthy();
    case ast::Unary::Operator::kNegate:
      return negate(operand);
    default:
      if (const auto integer = operand.defined().integer()) return *integer;
      if (!operand.is_number()) fail("bad operand type for unary +: '{}'", operand.type_name());
      return operand;
  }
}

Value Interpreter::evaluate(const ast::Binary& binary) {
  const Value left = evaluate(*binary.left);
  const Value right = evaluate(*binary.right);
  const bool joins_html = binary.op == BinaryOperator::kConcatenate && autoescape_ &&
                          (left.is_markup() || right.is_markup());
  if (joins_html) {
    return apply(BinaryOperator::kAdd, escape(left, budget_), escape(right, budget_), budget_);
  }
  return apply(binary.op, left, right, budget_);
}

Value Interpreter::evaluate(const ast::Logical& logical) {
  Value left = evaluate(*logical.left);
  return left.truthy() == logical.is_and ? evaluate(*logical.right) : left;
}

Value Interpreter::evaluate(const ast::Compare& node) {
  Value left = evaluate(*node.first);
  for (const auto& [op, expression] : node.rest) {
    Value right = evaluate(*expression);
    if (!compare(op, left, right, budget_)) return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::evaluate(const ast::Conditional& conditional) {
  if (evaluate(*conditional.test).truthy()) return evaluate(*conditional.value);
  if (conditional.otherwise) return evaluate(*conditional.otherwise);
  return Value::undefined("the inline if-expression was false and has no else");
}

Arguments Interpreter::evaluate(const ast::CallArguments& node) {
  Arguments arguments;
  arguments.positional = evaluate_all(node.positional);
  for (const auto& [name, expression] : node.named) {
    arguments.named.emplace_back(name, evaluate(*expression));
  }
  if (node.more_positional) {
    for (Value& value : iterate(evaluate(*node.more_positional).defined(), budget_)) {
      arguments.positional.push_back(std::move(value));
    }
  }
  if (node.more_named) {
    const Value more = evaluate(*node.more_named);
    if (!more.defined().dict())
      fail("the argument after ** must be a mapping, not {}", more.type_name());
    budget_.create_items<Dict::Entry>(more.dict()->entries().size());
    for (const auto& [key, value] : more.dict()->entries()) {
      if (!key.string()) fail("the names of arguments must be strings");
      arguments.named.emplace_back(*key.string(), value);
    }
  }
  return arguments;
}

// --- Services for built-ins ---

void Interpreter::charge(const Value& subject, const Arguments& arguments) {
  const auto charge_one = [this](const Value& value) {
    if (const std::string* text = value.string()) budget_.scan(text->size());
    if (const List* list = value.list()) budget_.step(list->items.size());
    if (const Dict* dict = value.dict()) budget_.step(dict->entries().size());
  };
  charge_one(subject);
  for (const Value& value : arguments.positional) charge_one(value);
  for (const auto& [name, value] : arguments.named) charge_one(value);
}

Value Interpreter::call(const Value& callee, Arguments& arguments) {
  const Budget::Nested nested(budget_);
  Object* object = callee.defined().object();
  if (!object || !object->callable()) fail("'{}' object is not callable", callee.type_name());
  charge({}, arguments);
  Value result = object->call(*this, arguments);
  charge(result, {});
  return result;
}

Value Interpreter::apply_filter(std::string_view name, const Value& subject, Arguments& arguments) {
  const Budget::Nested nested(budget_);
  const Builtin filter = find_filter(name);
  if (!filter) fail("no filter named '{}'", name);
  charge(subject, arguments);
  Value result = filter({*this, name, subject, arguments});
  if (const std::string* text = result.string()) budget_.create_text(text->size());
  if (const List* list = result.list()) budget_.create_items<Value>(list->items.size());
  return result;
}

bool Interpreter::apply_test(std::string_view name, const Value& subject, Arguments& arguments) {
  const Builtin test = find_test(name);
  if (!test) fail("no test named '{}'", name);
  charge(subject, arguments);
  return test({*this, name, subject, arguments}).truthy();
}

Value Interpreter::get_attribute(const Value& object, std::string_view name) {
  if (Object* thing = object.defined().object()) {
    if (auto value = thing->attribute(name)) return *value;
  }
  if (const List* list = object.list(); list && list->kind == List::Kind::kGroup) {
    if (name == "grouper") return list->items[0];
    if (name == "list") return list->items[1];
  }
  if (const Builtin method = find_method(object, name))
    return bind_method(method, std::string(name), object);
  if (const Dict* dict = object.dict()) {
    budget_.scan(name.size());
    if (const Value* value = dict->find(name)) return *value;
  }
  return Value::undefined(describe_missing(object, name, budget_));
}

Value Interpreter::get_item(const Value& object, const Value& key) {
  if (auto value = subscript(object.defined(), key, budget_)) return *value;
  if (const std::string* name = key.string()) return get_attribute(object, *name);
  return Value::undefined(describe_missing(object, key, budget_));
}

}  // namespace tessera::jinja
