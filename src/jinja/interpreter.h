// Walks the syntax tree and writes the output.
#pragma once

#include <ctime>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "jinja/ast.h"
#include "jinja/budget.h"
#include "jinja/value.h"

namespace tessera::jinja {

struct RenderOptions {
  Limits limits;
  std::optional<std::tm> now;  // what strftime_now() shows; the local time if absent
};

// Variables by name. A macro keeps the scope it was defined in.
struct Scope {
  std::shared_ptr<Scope> parent;
  std::map<std::string, Value, std::less<>> variables;
};

// One rendering. Throws Error without a line: see line().
class Interpreter {
 public:
  Interpreter(const RenderOptions& options, const nlohmann::ordered_json& variables);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  std::string run(const ast::Template& source);
  // Of the expression or statement evaluated last.
  int line() const { return line_; }

  // What built-in functions need.
  Budget& budget() { return budget_; }
  std::tm now() const;
  Value call(const Value& callee, Arguments& arguments);
  Value apply_filter(std::string_view name, const Value& subject, Arguments& arguments);
  bool apply_test(std::string_view name, const Value& subject, Arguments& arguments);
  // object.name prefers methods to items, object["name"] the reverse; both give Undefined for
  // what is not there.
  Value get_attribute(const Value& object, std::string_view name);
  Value get_item(const Value& object, const Value& key);
  // Must be called with everything that a template can fill after it was made: it may come to
  // contain itself, and reference counts alone would never free it.
  void hold(Value value);
  // Whether {% autoescape %} is in force: what is printed becomes safe HTML first.
  bool autoescape() const { return autoescape_; }

  // What Macro, Loop and Block objects need. Each gives text, as Markup under {% autoescape %}.
  Value call_macro(const ast::Macro& macro, const std::shared_ptr<Scope>& closure, bool autoescape,
                   Arguments& arguments);
  bool has_block(std::string_view name) const { return source_->blocks.contains(name); }
  Value render_block(std::string_view name);
  Value recurse(const ast::For& loop, const std::shared_ptr<Scope>& outer, const Value& iterable,
                int depth);

 private:
  enum class Flow { kNormal, kBreak, kContinue };
  class ScopeGuard;

  Flow execute(const ast::Body& body);
  Flow execute(const ast::Text& text);
  Flow execute(const ast::Print& print);
  Flow execute(const ast::For& loop);
  Flow execute(const ast::If& statement);
  Flow execute(const ast::Set& set);
  Flow execute(const ast::SetBlock& set);
  Flow execute(const ast::Macro& macro);
  Flow execute(const ast::CallBlock& block);
  Flow execute(const ast::FilterBlock& block);
  Flow execute(const ast::With& with);
  Flow execute(const ast::Autoescape& autoescape);
  Flow execute(const ast::Block& block);
  Flow execute(const ast::Break&) { return Flow::kBreak; }
  Flow execute(const ast::Continue&) { return Flow::kContinue; }

  Value evaluate(const ast::Expression& expression);
  Value evaluate(const ast::Literal& literal) { return literal.value; }
  Value evaluate(const ast::Name& name) { return look_up(name.name); }
  Value evaluate(const ast::Sequence& sequence);
  Value evaluate(const ast::Mapping& mapping);
  Value evaluate(const ast::Attribute& attribute);
  Value evaluate(const ast::Subscript& subscript);
  Value evaluate(const ast::Slice& slice);
  Value evaluate(const ast::Call& call);
  Value evaluate(const ast::Filter& filter);
  Value evaluate(const ast::Test& test);
  Value evaluate(const ast::Unary& unary);
  Value evaluate(const ast::Binary& binary);
  Value evaluate(const ast::Logical& logical);
  Value evaluate(const ast::Compare& compare);
  Value evaluate(const ast::Conditional& conditional);
  Arguments evaluate(const ast::CallArguments& arguments);
  std::vector<Value> evaluate_all(const std::vector<ast::ExpressionPtr>& expressions);

  void run_loop(const ast::For& loop, const Value& iterable, int depth);
  std::vector<Value> select_items(const ast::For& loop, std::vector<Value> items);
  void bind_parameters(const ast::Macro& macro, Arguments& arguments);
  Value look_up(const std::string& name);
  void assign(const ast::Target& target, const Value& value);
  void emit(std::string_view text);
  // Runs the body in a scope of its own below `parent` and returns what it wrote.
  Value capture(const ast::Body& body, std::shared_ptr<Scope> parent);
  // What `write` writes, instead of writing it to the output.
  template <typename Write>
  Value captured(Write&& write);
  Value make_macro(const ast::Macro& macro);
  void charge(const Value& subject, const Arguments& arguments);

  RenderOptions options_;
  Budget budget_;
  const ast::Template* source_ = nullptr;
  std::shared_ptr<Scope> scope_;
  std::shared_ptr<Scope> template_scope_;  // of the variables that the template itself sets
  bool autoescape_ = false;
  std::string output_;
  std::string* out_ = &output_;  // a block that is captured writes elsewhere
  Value block_text_;             // what the filters of a {% filter %} or {% set %} block apply to
  int line_ = 1;
  std::vector<Value> held_;
};

}  // namespace tessera::jinja
