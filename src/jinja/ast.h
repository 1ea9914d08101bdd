// The syntax tree of a template.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "jinja/operators.h"
#include "jinja/value.h"

namespace tessera::jinja::ast {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Literal {
  Value value;
};
struct Name {
  std::string name;
};
struct Sequence {  // [a, b] or (a, b)
  std::vector<ExpressionPtr> items;
  bool is_tuple;
};
struct Mapping {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
};
struct Attribute {  // object.name
  ExpressionPtr object;
  std::string name;
};
struct Subscript {  // object[index]
  ExpressionPtr object, index;
};
struct Slice {  // object[start:stop:step]; a bound may be absent
  ExpressionPtr object, start, stop, step;
};
struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr more_positional, more_named;  // *list, **dict
};
struct Call {
  ExpressionPtr callee;
  CallArguments arguments;
};
struct Filter {
  ExpressionPtr subject;  // absent at the inner end of a {% filter %} or {% set %} block's chain
  std::string name;
  CallArguments arguments;
};
struct Test {  // subject is name(arguments)
  ExpressionPtr subject;
  std::string name;
  CallArguments arguments;
};
struct Unary {
  enum class Operator { kNegate, kPlus, kNot } op;
  ExpressionPtr operand;
};
struct Binary {
  BinaryOperator op;
  ExpressionPtr left, right;
};
struct Logical {
  bool is_and;
  ExpressionPtr left, right;
};
struct Compare {  // a < b <= c
  ExpressionPtr first;
  std::vector<std::pair<Comparison, ExpressionPtr>> rest;
};
struct Conditional {  // value if test else otherwise
  ExpressionPtr value, test, otherwise;
};

struct Expression {
  std::variant<Literal, Name, Sequence, Mapping, Attribute, Subscript, Slice, Call, Filter, Test,
               Unary, Binary, Logical, Compare, Conditional>
      node;
  int line;
  int height;  // of the tree below: bounded by the parser, since evaluating and freeing recurse
};

// What an assignment fills: a name, ns.attribute, or several targets in a tuple.
struct Target {
  std::string name;
  std::string attribute;
  std::vector<Target> tuple;
};

struct Statement;
using Body = std::vector<Statement>;

struct Text {
  std::string text;
};
struct Print {
  ExpressionPtr value;
};
struct For {
  Target target;
  ExpressionPtr iterable, condition;
  bool recursive = false;
  Body body, otherwise;
};
struct If {
  std::vector<std::pair<ExpressionPtr, Body>> branches;
  Body otherwise;
};
struct Set {
  Target target;
  ExpressionPtr value;
};
struct SetBlock {
  Target target;
  ExpressionPtr filters;  // may be absent
  Body body;
};
struct Macro {
  std::string name;
  std::vector<std::pair<std::string, ExpressionPtr>> parameters;  // with default or without
  Body body;
  // Which of the names a call may fill without being declared occur in the body.
  bool uses_caller = false, uses_kwargs = false, uses_varargs = false;
};
struct CallBlock {
  ExpressionPtr call;  // an ast::Call
  std::unique_ptr<Macro> caller;
};
struct FilterBlock {
  ExpressionPtr filters;
  Body body;
};
struct With {  // also {% generation %}: a scope without variables of its own
  std::vector<std::pair<Target, ExpressionPtr>> variables;
  Body body;
};
struct Autoescape {  // whether what is printed within becomes safe HTML first
  ExpressionPtr enabled;
  Body body;
};
// The place of a block; its body is the template's, by name.
struct Block {
  std::string name;
  bool scoped = false;    // sees the variables around its place, not only the template's own
  bool required = false;  // must be overridden, which nothing can do here
};
struct Break {};
struct Continue {};

struct Statement {
  std::variant<Text, Print, For, If, Set, SetBlock, Macro, CallBlock, FilterBlock, With, Autoescape,
               Block, Break, Continue>
      node;
  int line;
};

struct Template {
  Body body;
  std::map<std::string, Body, std::less<>> blocks;
};

}  // namespace tessera::jinja::ast
