// The tokens of a template, read one after another with a look at the current one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "jinja/lexer.h"

namespace tessera::jinja {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[position_]; }
  const Token& next() const { return tokens_[std::min(position_ + 1, tokens_.size() - 1)]; }
  int line() const { return current().line; }
  bool at(Token::Type type) const { return current().type == type; }
  bool at_operator(std::string_view op) const {
    return at(Token::Type::kOperator) && current().text == op;
  }
  bool at_name(std::string_view name) const {
    return at(Token::Type::kName) && current().text == name;
  }

  Token take() {
    Token token = tokens_[position_];
    if (position_ + 1 < tokens_.size()) ++position_;
    return token;
  }
  bool take_operator(std::string_view op) {
    const bool found = at_operator(op);
    if (found) take();
    return found;
  }
  bool take_name(std::string_view name) {
    const bool found = at_name(name);
    if (found) take();
    return found;
  }
  void expect_operator(std::string_view op) {
    if (!take_operator(op))
      fail_here(fmt::format("expected '{}', found {}", op, describe(current())));
  }
  void expect_name(std::string_view name) {
    if (!take_name(name))
      fail_here(fmt::format("expected '{}', found {}", name, describe(current())));
  }
  std::string expect_any_name(std::string_view what) {
    if (!at(Token::Type::kName))
      fail_here(fmt::format("expected {}, found {}", what, describe(current())));
    return take().text;
  }
  void expect(Token::Type type) {
    if (!at(type)) fail_here(fmt::format("unexpected {}", describe(current())));
    take();
  }

  [[noreturn]] void fail_here(std::string_view message) const {
    fail("line {}, column {}: {}", current().line, current().column, message);
  }

  static std::string describe(const Token& token) {
    switch (token.type) {
      case Token::Type::kText:
        return "text";
      case Token::Type::kPrintBegin:
        return "'{{'";
      case Token::Type::kPrintEnd:
        return "'}}'";
      case Token::Type::kTagBegin:
        return "'{%'";
      case Token::Type::kTagEnd:
        return "'%}'";
      case Token::Type::kLiteral:
        return "a literal";
      case Token::Type::kEnd:
        return "the end of the template";
      default:
        return fmt::format("'{}'", token.text);
    }
  }

 private:
  std::vector<Token> tokens_;
  size_t position_ = 0;
};

}  // namespace tessera::jinja
