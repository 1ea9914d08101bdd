#include "jinja/parser.h"

#include <algorithm>

#include "jinja/expression_parser.h"
#include "jinja/unicode.h"

namespace tessera::jinja {
namespace {

using Type = Token::Type;

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)), expressions_(tokens_) {}

  ast::Template run() {
    ast::Body body = parse_body({});
    return {std::move(body), std::move(blocks_)};
  }

 private:
  // Up to one of `ends`, which becomes the current token (its "{%" is taken); with no ends, up to
  // the end of the template.
  ast::Body parse_body(std::initializer_list<std::string_view> ends) {
    const ExpressionParser::Nested nested(expressions_);
    ast::Body body;
    for (;;) {
      const int line = tokens_.line();
      if (tokens_.at(Type::kEnd)) {
        if (ends.size() == 0) return body;
        tokens_.fail_here(
            fmt::format("unexpected end of the template, expected '{}'", *(ends.end() - 1)));
      }
      if (tokens_.at(Type::kText)) {
        body.push_back({ast::Text{tokens_.take().text}, line});
      } else if (tokens_.at(Type::kPrintBegin)) {
        tokens_.take();
        body.push_back({ast::Print{expressions_.parse_tuple()}, line});
        tokens_.expect(Type::kPrintEnd);
      } else {
        tokens_.expect(Type::kTagBegin);
        const bool at_end = std::any_of(ends.begin(), ends.end(), [this](std::string_view end) {
          return tokens_.at_name(end);
        });
        if (at_end) return body;
        parse_statement(body, line);
        tokens_.expect(Type::kTagEnd);
      }
    }
  }

  // A body and its closing tag, except for the "%}" of that.
  ast::Body parse_block(std::string_view end) {
    tokens_.expect(Type::kTagEnd);
    ast::Body body = parse_body({end});
    tokens_.expect_name(end);
    return body;
  }

  void parse_statement(ast::Body& body, int line) {
    if (!tokens_.at(Type::kName)) tokens_.fail_here("expected the name of a tag");
    const std::string tag = tokens_.current().text;
    if (tag == "print") {
      tokens_.take();
      do {
        body.push_back({ast::Print{expressions_.parse_expression()}, line});
      } while (tokens_.take_operator(","));
    } else if (tag == "for") {
      body.push_back({parse_for(), line});
    } else if (tag == "if") {
      body.push_back({parse_if(), line});
    } else if (tag == "set") {
      parse_set(body, line);
    } else if (tag == "macro") {
      body.push_back({parse_macro(), line});
    } else if (tag == "call") {
      body.push_back({parse_call_block(), line});
    } else if (tag == "filter") {
      tokens_.take();
      ast::ExpressionPtr filters = expressions_.parse_filters(nullptr, true);
      body.push_back({ast::FilterBlock{std::move(filters), parse_block("endfilter")}, line});
    } else if (tag == "with") {
      body.push_back({parse_with(), line});
    } else if (tag == "autoescape") {
      tokens_.take();
      ast::ExpressionPtr enabled = expressions_.parse_expression();
      body.push_back({ast::Autoescape{std::move(enabled), parse_block("endautoescape")}, line});
    } else if (tag == "block") {
      body.push_back({parse_named_block(), line});
    } else if (tag ==
               "generation") {  // marks what the model wrote, for training: only rendered here
      tokens_.take();
      body.push_back({ast::With{{}, parse_block("endgeneration")}, line});
    } else if (tag == "break" || tag == "continue") {
      if (loop_depth_ == 0) tokens_.fail_here(fmt::format("'{}' outside of a loop", tag));
      tokens_.take();
      tag == "break" ? body.push_back({ast::Break{}, line})
                     : body.push_back({ast::Continue{}, line});
    } else {
      tokens_.fail_here(fmt::format("unknown tag '{}'", tag));
    }
  }

  ast::For parse_for() {
    tokens_.expect_name("for");
    ast::For loop;
    loop.target = expressions_.parse_target(false);
    tokens_.expect_name("in");
    loop.iterable = expressions_.parse_tuple(false);
    if (tokens_.take_name("if")) loop.condition = expressions_.parse_expression();
    loop.recursive = tokens_.take_name("recursive");
    tokens_.expect(Type::kTagEnd);
    ++loop_depth_;
    loop.body = parse_body({"else", "endfor"});
    --loop_depth_;
    if (tokens_.take_name("else")) {
      tokens_.expect(Type::kTagEnd);
      loop.otherwise = parse_body({"endfor"});
    }
    tokens_.expect_name("endfor");
    return loop;
  }

  ast::If parse_if() {
    ast::If statement;
    while (tokens_.take_name("if") || tokens_.take_name("elif")) {
      ast::ExpressionPtr test = expressions_.parse_tuple(false);
      tokens_.expect(Type::kTagEnd);
      statement.branches.emplace_back(std::move(test), parse_body({"elif", "else", "endif"}));
    }
    if (tokens_.take_name("else")) {
      tokens_.expect(Type::kTagEnd);
      statement.otherwise = parse_body({"endif"});
    }
    tokens_.expect_name("endif");
    return statement;
  }

  void parse_set(ast::Body& body, int line) {
    tokens_.expect_name("set");
    ast::Target target = expressions_.parse_target(true);
    if (tokens_.take_operator("=")) {
      body.push_back({ast::Set{std::move(target), expressions_.parse_tuple()}, line});
      return;
    }
    ast::ExpressionPtr filters;
    if (tokens_.at_operator("|")) filters = expressions_.parse_filters(nullptr, false);
    body.push_back(
        {ast::SetBlock{std::move(target), std::move(filters), parse_block("endset")}, line});
  }

  // "(a, b=1)"
  void parse_parameters(ast::Macro& macro) {
    tokens_.expect_operator("(");
    while (!tokens_.at_operator(")")) {
      std::string name = expressions_.parse_target_name();
      ast::ExpressionPtr value;
      if (tokens_.take_operator("=")) {
        value = expressions_.parse_expression();
      } else if (!macro.parameters.empty() && macro.parameters.back().second) {
        tokens_.fail_here("a parameter without default stands after one with a default");
      }
      macro.parameters.emplace_back(std::move(name), std::move(value));
      if (!tokens_.take_operator(",")) break;
    }
    tokens_.expect_operator(")");
  }

  void parse_macro_body(ast::Macro& macro, std::string_view end) {
    expressions_.special_names().emplace_back();
    const int outer_loops = std::exchange(loop_depth_, 0);
    macro.body = parse_block(end);
    loop_depth_ = outer_loops;
    const auto names = expressions_.special_names().back();
    expressions_.special_names().pop_back();
    macro.uses_caller = names.caller;
    macro.uses_kwargs = names.kwargs;
    macro.uses_varargs = names.varargs;
  }

  ast::Macro parse_macro() {
    tokens_.expect_name("macro");
    ast::Macro macro;
    macro.name = expressions_.parse_target_name();
    parse_parameters(macro);
    parse_macro_body(macro, "endmacro");
    return macro;
  }

  ast::CallBlock parse_call_block() {
    tokens_.expect_name("call");
    auto caller = std::make_unique<ast::Macro>();
    caller->name = "caller";
    if (tokens_.at_operator("(")) parse_parameters(*caller);
    ast::ExpressionPtr call = expressions_.parse_expression();
    if (!std::holds_alternative<ast::Call>(call->node)) tokens_.fail_here("expected a call");
    parse_macro_body(*caller, "endcall");
    return {std::move(call), std::move(caller)};
  }

  ast::With parse_with() {
    tokens_.expect_name("with");
    ast::With with;
    while (!tokens_.at(Type::kTagEnd)) {
      ast::Target target = expressions_.parse_target(false);
      tokens_.expect_operator("=");
      with.variables.emplace_back(std::move(target), expressions_.parse_expression());
      if (!tokens_.take_operator(",")) break;
    }
    with.body = parse_block("endwith");
    return with;
  }

  // {% block NAME [scoped] [required] %}: its body goes to the template's blocks.
  ast::Block parse_named_block() {
    tokens_.expect_name("block");
    ast::Block block;
    if (!tokens_.at(Type::kName)) tokens_.fail_here("expected the name of a block");
    block.name = tokens_.take().text;
    block.scoped = tokens_.take_name("scoped");
    block.required = tokens_.take_name("required");
    const int outer_loops = std::exchange(loop_depth_, 0);
    ast::Body body = parse_block("endblock");
    loop_depth_ = outer_loops;
    tokens_.take_name(block.name);
    if (block.required && !is_blank(body)) {
      tokens_.fail_here("a required block holds nothing but comments and white space");
    }
    if (!blocks_.emplace(block.name, std::move(body)).second) {
      tokens_.fail_here(fmt::format("block '{}' is defined twice", block.name));
    }
    return block;
  }

  static bool is_blank(const ast::Body& body) {
    return std::all_of(body.begin(), body.end(), [](const ast::Statement& statement) {
      const auto* text = std::get_if<ast::Text>(&statement.node);
      return text && unicode::strip(text->text).empty();
    });
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  std::map<std::string, ast::Body, std::less<>> blocks_;
  int loop_depth_ = 0;
};

}  // namespace

ast::Template parse(std::string_view source) {
  return Parser(source).run();
}

}  // namespace tessera::jinja
