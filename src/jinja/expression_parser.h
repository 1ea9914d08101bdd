// Parses what stands inside {{ }} and after the keywords of {% %}.
#pragma once

#include <vector>

#include "jinja/ast.h"
#include "jinja/token_stream.h"

namespace tessera::jinja {

// How deep the syntax tree and the parser's own recursion may become.
inline constexpr int kMaxSyntaxDepth = 250;

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  ast::ExpressionPtr parse_expression(bool with_conditional = true);
  // "a" or "a, b": with a comma it is a tuple.
  ast::ExpressionPtr parse_tuple(bool with_conditional = true);
  // Name, ns.attribute (where `with_namespace`), or a tuple of names.
  ast::Target parse_target(bool with_namespace);
  std::string parse_target_name();
  // "| name(arguments)" any number of times around `subject`; the first "|" is optional where
  // `starts_inline`, as in {% filter upper | trim %}.
  ast::ExpressionPtr parse_filters(ast::ExpressionPtr subject, bool starts_inline);
  ast::ExpressionPtr parse_unary(bool with_filters = true);

  // Macros need to know whether their body mentions these.
  struct SpecialNames {
    bool caller = false, kwargs = false, varargs = false;
  };
  std::vector<SpecialNames>& special_names() { return special_names_; }

  // Held while a construct nests; fails when that goes too deep.
  class Nested {
   public:
    explicit Nested(ExpressionParser& parser) : parser_(parser) {
      if (++parser_.depth_ > kMaxSyntaxDepth) parser_.fail_too_deep();
    }
    ~Nested() { --parser_.depth_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;

   private:
    ExpressionParser& parser_;
  };

 private:
  [[noreturn]] void fail_too_deep();
  template <typename Node>
  ast::ExpressionPtr make(int line, int height_below, Node node);

  ast::ExpressionPtr parse_or();
  ast::ExpressionPtr parse_and();
  ast::ExpressionPtr parse_not();
  ast::ExpressionPtr parse_comparison();
  // Binary operators from + and - down to **, by level of precedence.
  ast::ExpressionPtr parse_binary(size_t level);
  ast::ExpressionPtr parse_primary();
  ast::ExpressionPtr parse_name();
  ast::ExpressionPtr parse_list();
  ast::ExpressionPtr parse_dict();
  ast::ExpressionPtr parse_postfix(ast::ExpressionPtr operand);
  ast::ExpressionPtr parse_filters_and_tests(ast::ExpressionPtr operand);
  ast::ExpressionPtr parse_subscript(ast::ExpressionPtr object);
  ast::ExpressionPtr parse_subscribed(ast::ExpressionPtr object);
  ast::ExpressionPtr parse_call(ast::ExpressionPtr callee);
  ast::ExpressionPtr parse_test(ast::ExpressionPtr subject);
  ast::CallArguments parse_arguments();
  void parse_argument(ast::CallArguments& arguments);
  bool at_test_argument() const;
  bool at_tuple_end() const;

  TokenStream& tokens_;
  int depth_ = 0;
  std::vector<SpecialNames> special_names_;
};

}  // namespace tessera::jinja
