#include "jinja/expression_parser.h"

#include <algorithm>
#include <array>

namespace tessera::jinja {
namespace {

using ast::ExpressionPtr;
using Type = Token::Type;

int height(const ExpressionPtr& expression) {
  return expression ? expression->height : 0;
}

int height(const std::vector<ExpressionPtr>& expressions) {
  int highest = 0;
  for (const auto& expression : expressions) highest = std::max(highest, height(expression));
  return highest;
}

int height(const ast::CallArguments& arguments) {
  int highest = std::max({height(arguments.positional), height(arguments.more_positional),
                          height(arguments.more_named)});
  for (const auto& [name, value] : arguments.named) highest = std::max(highest, height(value));
  return highest;
}

template <typename... Children>
int highest(const Children&... children) {
  return std::max({0, height(children)...});
}

struct OperatorName {
  std::string_view text;
  BinaryOperator op;
};

// Loosest first. Unlike in Python, ~ has a level of its own and ** groups from the left.
const std::vector<OperatorName>& operators_at(size_t level) {
  static const std::array<std::vector<OperatorName>, 4> kLevels = {{
      {{"+", BinaryOperator::kAdd}, {"-", BinaryOperator::kSubtract}},
      {{"~", BinaryOperator::kConcatenate}},
      {{"*", BinaryOperator::kMultiply},
       {"/", BinaryOperator::kDivide},
       {"//", BinaryOperator::kFloorDivide},
       {"%", BinaryOperator::kModulo}},
      {{"**", BinaryOperator::kPower}},
  }};
  return kLevels[level];
}
constexpr size_t kBinaryLevels = 4;

std::optional<Comparison> take_comparison(TokenStream& tokens) {
  constexpr std::pair<std::string_view, Comparison> kComparisons[] = {
      {"==", Comparison::kEqual},  {"!=", Comparison::kNotEqual},
      {"<", Comparison::kLess},    {"<=", Comparison::kLessEqual},
      {">", Comparison::kGreater}, {">=", Comparison::kGreaterEqual},
  };
  for (const auto& [text, op] : kComparisons) {
    if (tokens.take_operator(text)) return op;
  }
  if (tokens.take_name("in")) return Comparison::kIn;
  if (tokens.at_name("not") && tokens.next().type == Type::kName && tokens.next().text == "in") {
    tokens.take();
    tokens.take();
    return Comparison::kNotIn;
  }
  return std::nullopt;
}

}  // namespace

void ExpressionParser::fail_too_deep() {
  tokens_.fail_here("the template nests too deeply");
}

template <typename Node>
ExpressionPtr ExpressionParser::make(int line, int height_below, Node node) {
  if (height_below >= kMaxSyntaxDepth) fail_too_deep();
  return std::make_unique<ast::Expression>(
      ast::Expression{std::move(node), line, height_below + 1});
}

ExpressionPtr ExpressionParser::parse_expression(bool with_conditional) {
  const Nested nested(*this);
  const int line = tokens_.line();
  ExpressionPtr value = parse_or();
  if (!with_conditional) return value;
  while (tokens_.take_name("if")) {
    ExpressionPtr test = parse_or();
    ExpressionPtr otherwise;
    if (tokens_.take_name("else")) otherwise = parse_expression();
    const int below = highest(value, test, otherwise);
    value = make(line, below,
                 ast::Conditional{std::move(value), std::move(test), std::move(otherwise)});
  }
  return value;
}

ExpressionPtr ExpressionParser::parse_or() {
  const int line = tokens_.line();
  ExpressionPtr left = parse_and();
  while (tokens_.take_name("or")) {
    ExpressionPtr right = parse_and();
    const int below = highest(left, right);
    left = make(line, below, ast::Logical{false, std::move(left), std::move(right)});
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_and() {
  const int line = tokens_.line();
  ExpressionPtr left = parse_not();
  while (tokens_.take_name("and")) {
    ExpressionPtr right = parse_not();
    const int below = highest(left, right);
    left = make(line, below, ast::Logical{true, std::move(left), std::move(right)});
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_not() {
  const Nested nested(*this);
  const int line = tokens_.line();
  if (!tokens_.take_name("not")) return parse_comparison();
  ExpressionPtr operand = parse_not();
  const int below = highest(operand);
  return make(line, below, ast::Unary{ast::Unary::Operator::kNot, std::move(operand)});
}

ExpressionPtr ExpressionParser::parse_comparison() {
  const int line = tokens_.line();
  ExpressionPtr first = parse_binary(0);
  std::vector<std::pair<Comparison, ExpressionPtr>> rest;
  int below = highest(first);
  while (const auto op = take_comparison(tokens_)) {
    rest.emplace_back(*op, parse_binary(0));
    below = std::max(below, highest(rest.back().second));
  }
  if (rest.empty()) return first;
  return make(line, below, ast::Compare{std::move(first), std::move(rest)});
}

ExpressionPtr ExpressionParser::parse_binary(size_t level) {
  if (level == kBinaryLevels) return parse_unary();
  const int line = tokens_.line();
  ExpressionPtr left = parse_binary(level + 1);
  const auto& operators = operators_at(level);
  for (;;) {
    const auto found =
        std::find_if(operators.begin(), operators.end(),
                     [this](const OperatorName& name) { return tokens_.take_operator(name.text); });
    if (found == operators.end()) return left;
    ExpressionPtr right = parse_binary(level + 1);
    const int below = highest(left, right);
    left = make(line, below, ast::Binary{found->op, std::move(left), std::move(right)});
  }
}

ExpressionPtr ExpressionParser::parse_unary(bool with_filters) {
  const Nested nested(*this);
  const int line = tokens_.line();
  ExpressionPtr operand;
  const bool negates = tokens_.at_operator("-");
  if (negates || tokens_.at_operator("+")) {
    tokens_.take();
    operand = parse_unary(false);
    const auto op = negates ? ast::Unary::Operator::kNegate : ast::Unary::Operator::kPlus;
    const int below = highest(operand);
    operand = make(line, below, ast::Unary{op, std::move(operand)});
  } else {
    operand = parse_primary();
  }
  operand = parse_postfix(std::move(operand));
  return with_filters ? parse_filters_and_tests(std::move(operand)) : std::move(operand);
}

ExpressionPtr ExpressionParser::parse_primary() {
  const int line = tokens_.line();
  if (tokens_.at(Type::kName)) return parse_name();
  if (tokens_.at(Type::kLiteral)) {
    Value value = tokens_.take().value;
    if (!value.is_string()) return make(line, 0, ast::Literal{std::move(value)});
    std::string text = *value.string();  // adjacent strings are one
    while (tokens_.at(Type::kLiteral) && tokens_.current().value.is_string()) {
      text += *tokens_.take().value.string();
    }
    return make(line, 0, ast::Literal{std::move(text)});
  }
  if (tokens_.take_operator("(")) {
    if (tokens_.take_operator(")")) return make(line, 0, ast::Sequence{{}, true});
    ExpressionPtr inner = parse_tuple();
    tokens_.expect_operator(")");
    return inner;
  }
  if (tokens_.at_operator("[")) return parse_list();
  if (tokens_.at_operator("{")) return parse_dict();
  tokens_.fail_here("unexpected " + TokenStream::describe(tokens_.current()));
}

ExpressionPtr ExpressionParser::parse_name() {
  const int line = tokens_.line();
  std::string name = tokens_.take().text;
  if (name == "true" || name == "True") return make(line, 0, ast::Literal{true});
  if (name == "false" || name == "False") return make(line, 0, ast::Literal{false});
  if (name == "none" || name == "None") return make(line, 0, ast::Literal{});
  for (SpecialNames& names : special_names_) {
    names.caller |= name == "caller";
    names.kwargs |= name == "kwargs";
    names.varargs |= name == "varargs";
  }
  return make(line, 0, ast::Name{std::move(name)});
}

ExpressionPtr ExpressionParser::parse_list() {
  const int line = tokens_.line();
  tokens_.expect_operator("[");
  std::vector<ExpressionPtr> items;
  while (!tokens_.at_operator("]")) {
    items.push_back(parse_expression());
    if (!tokens_.take_operator(",")) break;
  }
  tokens_.expect_operator("]");
  const int below = highest(items);
  return make(line, below, ast::Sequence{std::move(items), false});
}

ExpressionPtr ExpressionParser::parse_dict() {
  const int line = tokens_.line();
  tokens_.expect_operator("{");
  ast::Mapping mapping;
  int below = 0;
  while (!tokens_.at_operator("}")) {
    ExpressionPtr key = parse_expression();
    tokens_.expect_operator(":");
    ExpressionPtr value = parse_expression();
    below = std::max(below, highest(key, value));
    mapping.entries.emplace_back(std::move(key), std::move(value));
    if (!tokens_.take_operator(",")) break;
  }
  tokens_.expect_operator("}");
  return make(line, below, std::move(mapping));
}

bool ExpressionParser::at_tuple_end() const {
  return tokens_.at(Type::kPrintEnd) || tokens_.at(Type::kTagEnd) || tokens_.at_operator(")") ||
         tokens_.at_operator("=") || tokens_.at_name("in") || tokens_.at_name("recursive");
}

ExpressionPtr ExpressionParser::parse_tuple(bool with_conditional) {
  const int line = tokens_.line();
  ExpressionPtr first = parse_expression(with_conditional);
  if (!tokens_.at_operator(",")) return first;
  std::vector<ExpressionPtr> items;
  items.push_back(std::move(first));
  while (tokens_.take_operator(",") && !at_tuple_end()) {
    items.push_back(parse_expression(with_conditional));
  }
  const int below = highest(items);
  return make(line, below, ast::Sequence{std::move(items), true});
}

std::string ExpressionParser::parse_target_name() {
  const std::string name = tokens_.expect_any_name("a name to assign to");
  for (const char* constant : {"true", "True", "false", "False", "none", "None"}) {
    if (name == constant) tokens_.fail_here(fmt::format("cannot assign to '{}'", name));
  }
  return name;
}

ast::Target ExpressionParser::parse_target(bool with_namespace) {
  const Nested nested(*this);
  const auto parse_one = [&]() -> ast::Target {
    if (tokens_.take_operator("(")) {
      ast::Target inner = parse_target(false);
      tokens_.expect_operator(")");
      return inner;
    }
    ast::Target target{parse_target_name(), {}, {}};
    if (with_namespace && tokens_.take_operator(".")) {
      target.attribute = tokens_.expect_any_name("the name of an attribute");
    }
    return target;
  };
  ast::Target first = parse_one();
  if (!tokens_.at_operator(",")) return first;
  ast::Target target;
  target.tuple.push_back(std::move(first));
  while (tokens_.take_operator(",") && !at_tuple_end()) target.tuple.push_back(parse_one());
  return target;
}

ExpressionPtr ExpressionParser::parse_postfix(ExpressionPtr operand) {
  for (;;) {
    if (tokens_.at_operator(".") || tokens_.at_operator("[")) {
      operand = parse_subscript(std::move(operand));
    } else if (tokens_.at_operator("(")) {
      operand = parse_call(std::move(operand));
    } else {
      return operand;
    }
  }
}

ExpressionPtr ExpressionParser::parse_filters_and_tests(ExpressionPtr operand) {
  for (;;) {
    if (tokens_.at_operator("|")) {
      operand = parse_filters(std::move(operand), false);
    } else if (tokens_.at_name("is")) {
      operand = parse_test(std::move(operand));
    } else if (tokens_.at_operator("(")) {
      operand = parse_call(std::move(operand));
    } else {
      return operand;
    }
  }
}

ExpressionPtr ExpressionParser::parse_filters(ExpressionPtr subject, bool starts_inline) {
  while (starts_inline || tokens_.take_operator("|")) {
    starts_inline = false;
    const int line = tokens_.line();
    std::string name = tokens_.expect_any_name("the name of a filter");
    while (tokens_.take_operator("."))
      name.append(".").append(tokens_.expect_any_name("the name of a filter"));
    ast::CallArguments arguments;
    if (tokens_.at_operator("(")) arguments = parse_arguments();
    const int below = highest(subject, arguments);
    subject =
        make(line, below, ast::Filter{std::move(subject), std::move(name), std::move(arguments)});
  }
  return subject;
}

ExpressionPtr ExpressionParser::parse_subscript(ExpressionPtr object) {
  const int line = tokens_.line();
  if (tokens_.take_operator("[")) {
    object = parse_subscribed(std::move(object));
    tokens_.expect_operator("]");
    return object;
  }
  tokens_.expect_operator(".");
  const int below = highest(object);
  if (tokens_.at(Type::kLiteral) && tokens_.current().value.get_if<int64_t>()) {  // pair.0
    ExpressionPtr index = make(line, 0, ast::Literal{tokens_.take().value});
    return make(line, below, ast::Subscript{std::move(object), std::move(index)});
  }
  std::string name = tokens_.expect_any_name("the name of an attribute");
  return make(line, below, ast::Attribute{std::move(object), std::move(name)});
}

ExpressionPtr ExpressionParser::parse_subscribed(ExpressionPtr object) {
  const int line = tokens_.line();
  const auto parse_bound = [this]() -> ExpressionPtr {
    if (tokens_.at_operator(":") || tokens_.at_operator("]")) return nullptr;
    return parse_expression();
  };
  ExpressionPtr start = parse_bound();
  if (!tokens_.take_operator(":")) {
    if (!start) tokens_.fail_here("expected an index");
    const int below = highest(object, start);
    return make(line, below, ast::Subscript{std::move(object), std::move(start)});
  }
  ExpressionPtr stop = parse_bound();
  ExpressionPtr step = tokens_.take_operator(":") ? parse_bound() : nullptr;
  const int below = highest(object, start, stop, step);
  return make(line, below,
              ast::Slice{std::move(object), std::move(start), std::move(stop), std::move(step)});
}

ExpressionPtr ExpressionParser::parse_call(ExpressionPtr callee) {
  const int line = tokens_.line();
  ast::CallArguments arguments = parse_arguments();
  const int below = highest(callee, arguments);
  return make(line, below, ast::Call{std::move(callee), std::move(arguments)});
}

ast::CallArguments ExpressionParser::parse_arguments() {
  tokens_.expect_operator("(");
  ast::CallArguments arguments;
  while (!tokens_.at_operator(")")) {
    parse_argument(arguments);
    if (!tokens_.take_operator(",")) break;
  }
  tokens_.expect_operator(")");
  return arguments;
}

void ExpressionParser::parse_argument(ast::CallArguments& arguments) {
  if (tokens_.take_operator("*")) {
    if (arguments.more_positional || arguments.more_named) tokens_.fail_here("unexpected '*'");
    arguments.more_positional = parse_expression();
  } else if (tokens_.take_operator("**")) {
    if (arguments.more_named) tokens_.fail_here("unexpected '**'");
    arguments.more_named = parse_expression();
  } else if (tokens_.at(Type::kName) && tokens_.next().type == Type::kOperator &&
             tokens_.next().text == "=") {
    if (arguments.more_named) tokens_.fail_here("an argument stands after **");
    std::string name = tokens_.take().text;
    tokens_.take();
    arguments.named.emplace_back(std::move(name), parse_expression());
  } else {
    if (!arguments.named.empty() || arguments.more_positional || arguments.more_named) {
      tokens_.fail_here("a positional argument stands after one with a name");
    }
    arguments.positional.push_back(parse_expression());
  }
}

// "x is divisibleby 3": one argument may follow without parentheses.
bool ExpressionParser::at_test_argument() const {
  if (tokens_.at(Type::kLiteral) || tokens_.at_operator("[") || tokens_.at_operator("{"))
    return true;
  return tokens_.at(Type::kName) && !tokens_.at_name("else") && !tokens_.at_name("or") &&
         !tokens_.at_name("and");
}

ExpressionPtr ExpressionParser::parse_test(ExpressionPtr subject) {
  const int line = tokens_.line();
  tokens_.expect_name("is");
  const bool negated = tokens_.take_name("not");
  std::string name = tokens_.expect_any_name("the name of a test");
  while (tokens_.take_operator("."))
    name.append(".").append(tokens_.expect_any_name("the name of a test"));
  ast::CallArguments arguments;
  if (tokens_.at_operator("(")) {
    arguments = parse_arguments();
  } else if (at_test_argument()) {
    if (tokens_.at_name("is")) tokens_.fail_here("tests cannot be chained with 'is'");
    arguments.positional.push_back(parse_postfix(parse_primary()));
  }
  const int below = highest(subject, arguments);
  ExpressionPtr test =
      make(line, below, ast::Test{std::move(subject), std::move(name), std::move(arguments)});
  if (!negated) return test;
  return make(line, below + 1, ast::Unary{ast::Unary::Operator::kNot, std::move(test)});
}

}  // namespace tessera::jinja
