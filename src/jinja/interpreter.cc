#include "jinja/interpreter.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "jinja/builtins.h"
#include "jinja/control_objects.h"
#include "jinja/html.h"
#include "jinja/operators.h"
#include "jinja/serialize.h"

namespace tessera::jinja {

// What entering a scope with its variables costs, compared with evaluating a small expression.
constexpr uint64_t kIterationSteps = 5;

// Enters a scope below `parent`, and leaves it again.
class Interpreter::ScopeGuard {
 public:
  ScopeGuard(Interpreter& interpreter, std::shared_ptr<Scope> parent)
      : interpreter_(interpreter), saved_(interpreter.scope_) {
    interpreter_.scope_ = std::make_shared<Scope>(Scope{std::move(parent), {}});
  }
  explicit ScopeGuard(Interpreter& interpreter) : ScopeGuard(interpreter, interpreter.scope_) {}
  ~ScopeGuard() { interpreter_.scope_ = saved_; }
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;

 private:
  Interpreter& interpreter_;
  std::shared_ptr<Scope> saved_;
};

Interpreter::Interpreter(const RenderOptions& options, const nlohmann::ordered_json& variables)
    : options_(options),
      budget_(options.limits),
      scope_(std::make_shared<Scope>()),
      template_scope_(scope_) {
  if (!variables.is_object()) fail("the variables of a template must be a JSON object");
  for (const auto& [name, value] : variables.items()) {
    scope_->variables.emplace(name, Value::from_json(value));
  }
}

// Each value is emptied while all are still held: so cycles are cut, and freeing one value never
// sets off a long chain of destructors.
Interpreter::~Interpreter() {
  for (const Value& value : held_) {
    if (List* list = value.list()) list->items.clear();
    if (Dict* dict = value.dict()) dict->clear();
    if (Object* object = value.object()) object->release();
  }
}

std::string Interpreter::run(const ast::Template& source) {
  source_ = &source;
  execute(source.body);
  return std::move(output_);
}

std::tm Interpreter::now() const {
  if (options_.now) return *options_.now;
  const std::time_t seconds =
      std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm local{};
  localtime_r(&seconds, &local);
  return local;
}

void Interpreter::hold(Value value) {
  budget_.create(sizeof(Value));
  held_.push_back(std::move(value));
}

// --- Statements ---

Interpreter::Flow Interpreter::execute(const ast::Body& body) {
  const Budget::Nested nested(budget_);
  for (const ast::Statement& statement : body) {
    budget_.step();
    line_ = statement.line;
    const Flow flow =
        std::visit([this](const auto& node) { return execute(node); }, statement.node);
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute(const ast::Text& text) {
  emit(text.text);
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute(const ast::Print& print) {
  Value value = evaluate(*print.value);
  if (autoescape_) value = escape(value, budget_);
  if (const std::string* text = value.string()) {
    emit(*text);
  } else {
    emit(to_text(value, budget_));
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute(const ast::For& loop) {
  run_loop(loop, evaluate(*loop.iterable), 0);
  return Flow::kNormal;
}

void Interpreter::run_loop(const ast::For& loop, const Value& iterable, int depth) {
  const Budget::Nested nested(budget_);
  std::vector<Value> items = select_items(loop, iterate(iterable, budget_));
  const std::shared_ptr<Scope> outer = scope_;
  const auto state = std::make_shared<LoopObject>(loop, outer, std::move(items), depth);
  hold(state);
  bool completed = false;
  for (size_t i = 0; i < state->items().size(); ++i) {
    budget_.step(kIterationSteps);
    const ScopeGuard guard(*this, outer);
    state->move_to(i);
    scope_->variables.emplace("loop", state);
    assign(loop.target, state->items()[i]);
    const Flow flow = execute(loop.body);
    if (flow == Flow::kBreak) break;
    completed |= flow == Flow::kNormal;
  }
  // Unlike in Python, `else` means that no iteration has come to its end.
  if (!completed) {
    const ScopeGuard guard(*this, outer);
    execute(loop.otherwise);
  }
}

std::vector<Value> Interpreter::select_items(const ast::For& loop, std::vector<Value> items) {
  if (!loop.condition) return items;
  std::vector<Value> selected;
  for (Value& item : items) {
    budget_.step(kIterationSteps);
    const ScopeGuard guard(*this);
    assign(loop.target, item);
    if (evaluate(*loop.condition).truthy()) selected.push_back(std::move(item));
  }
  return selected;
}

Value Interpreter::recurse(const ast::For& loop, const std::shared_ptr<Scope>& outer,
                           const Value& iterable, int depth) {
  return captured([&] {
    const ScopeGuard guard(*this, outer);
    run_loop(loop, iterable, depth);
  });
}

Interpreter::Flow Interpreter::execute(const ast::If& statement) {
  for (const auto& [test, body] : statement.branches) {
    if (evaluate(*test).truthy()) return execute(body);
  }
  return execute(statement.otherwise);
}

Interpreter::Flow Interpreter::execute(const ast::Set& set) {
  assign(set.target, evaluate(*set.value));
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute(const ast::SetBlock& set) {
  Value value = capture(set.body, scope_);
  if (set.filters) {
    block_text_ = std::move(value);
    value = evaluate(*set.filters);
  }
  assign(set.target, value);
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute(const ast::Macro& macro) {
  scope_->variables.insert_or_assign(macro.name, make_macro(macro));
  return Flow::kNormal;
}

Value Interpreter::make_macro(const ast::Macro& macro) {
  budget_.create(sizeof(MacroObject) + sizeof(Scope));
  const auto object = std::make_shared<MacroObject>(macro, scope_, autoescape_);
  hold(object);
  return object;
}

Interpreter::Flow Interpreter::execute(const ast::CallBlock& block) {
  const auto& node = std::get<ast::Call>(block.call->node);
  const Value callee = evaluate(*node.callee);
  Arguments arguments = evaluate(node.arguments);
  arguments.named.emplace_back("caller", make_macro(*block.caller));
  emit(to_text(call(callee, arguments), budget_));
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute(const ast::FilterBlock& block) {
  block_text_ = capture(block.body, scope_);
  emit(to_text(evaluate(*block.filters), budget_));
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute(const ast::With& with) {
  std::vector<Value> values;
  for (const auto& [target, expression] : with.variables) values.push_back(evaluate(*expression));
  const ScopeGuard guard(*this);
  for (size_t i = 0; i < values.size(); ++i) assign(with.variables[i].first, values[i]);
  return execute(with.body);
}

Interpreter::Flow Interpreter::execute(const ast::Autoescape& autoescape) {
  const bool enabled = evaluate(*autoescape.enabled).truthy();
  const bool outer = std::exchange(autoescape_, enabled);
  const ScopeGuard guard(*this);
  const Flow flow = execute(autoescape.body);
  autoescape_ = outer;
  return flow;
}

Interpreter::Flow Interpreter::execute(const ast::Block& block) {
  if (block.required) fail("the block '{}' is required and nothing overrides it", block.name);
  const ScopeGuard guard(*this, block.scoped ? scope_ : template_scope_);
  return execute(source_->blocks.find(block.name)->second);
}

Value Interpreter::render_block(std::string_view name) {
  return capture(source_->blocks.find(name)->second, template_scope_);
}

template <typename Write>
Value Interpreter::captured(Write&& write) {
  std::string text;
  std::string* const outer = std::exchange(out_, &text);
  write();
  out_ = outer;
  return autoescape_ ? Value::markup(std::move(text)) : Value(std::move(text));
}

Value Interpreter::capture(const ast::Body& body, std::shared_ptr<Scope> parent) {
  return captured([&] {
    const ScopeGuard guard(*this, std::move(parent));
    execute(body);
  });
}

void Interpreter::emit(std::string_view text) {
  budget_.check_text(out_->size() + text.size());
  budget_.create(text.size());
  *out_ += text;
}

// --- Names ---

Value Interpreter::look_up(const std::string& name) {
  for (const Scope* scope = scope_.get(); scope; scope = scope->parent.get()) {
    const auto found = scope->variables.find(name);
    if (found != scope->variables.end()) return found->second;
  }
  if (name == "self") return std::make_shared<TemplateObject>();
  if (auto function = find_function(name)) return *function;
  return Value::undefined(fmt::format("'{}' is undefined", name));
}

void Interpreter::assign(const ast::Target& target, const Value& value) {
  if (!target.tuple.empty()) {
    const std::vector<Value> items = iterate(value.defined(), budget_);
    if (items.size() != target.tuple.size()) {
      fail("cannot unpack {} values into {} names", items.size(), target.tuple.size());
    }
    for (size_t i = 0; i < items.size(); ++i) assign(target.tuple[i], items[i]);
  } else if (target.attribute.empty()) {
    scope_->variables.insert_or_assign(target.name, value);
  } else {
    auto* names = look_up(target.name).object_as<Namespace>();
    if (!names)
      fail("cannot assign '{}.{}': only a namespace has attributes to assign", target.name,
           target.attribute);
    names->values.set(target.attribute, value);
  }
}

Value Interpreter::call_macro(const ast::Macro& macro, const std::shared_ptr<Scope>& closure,
                              bool autoescape, Arguments& arguments) {
  return captured([&] {
    budget_.step(kIterationSteps);
    const bool outer = std::exchange(autoescape_, autoescape);
    const ScopeGuard guard(*this, closure);
    bind_parameters(macro, arguments);
    execute(macro.body);
    autoescape_ = outer;
  });
}

void Interpreter::bind_parameters(const ast::Macro& macro, Arguments& arguments) {
  auto& variables = scope_->variables;
  const auto take_named = [&](std::string_view name) -> std::optional<Value> {
    const auto found = std::find_if(arguments.named.begin(), arguments.named.end(),
                                    [&](const auto& argument) { return argument.first == name; });
    if (found == arguments.named.end()) return std::nullopt;
    Value value = std::move(found->second);
    arguments.named.erase(found);
    return value;
  };
  const size_t given = std::min(arguments.positional.size(), macro.parameters.size());
  bool has_caller = false;
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const auto& [name, default_value] = macro.parameters[i];
    has_caller |= name == "caller";
    auto value = i < given ? std::optional(arguments.positional[i]) : take_named(name);
    if (!value && default_value) value = evaluate(*default_value);
    if (!value) value = Value::undefined(fmt::format("parameter '{}' was not provided", name));
    variables.insert_or_assign(name, *value);
  }
  if (macro.uses_caller && !has_caller) {
    auto caller = take_named("caller");
    variables.insert_or_assign("caller", caller ? *caller : Value::undefined("No caller defined"));
  }
  if (macro.uses_kwargs) {
    auto rest = std::make_shared<Dict>();
    for (auto& [name, value] : arguments.named) rest->set(name, value);
    variables.insert_or_assign("kwargs", rest);
  } else if (!arguments.named.empty()) {
    fail("macro '{}' takes no argument '{}'", macro.name, arguments.named.front().first);
  }
  const auto first_extra = arguments.positional.begin() + static_cast<ptrdiff_t>(given);
  if (macro.uses_varargs) {
    variables.insert_or_assign(
        "varargs", make_tuple(std::vector<Value>(first_extra, arguments.positional.end())));
  } else if (first_extra != arguments.positional.end()) {
    fail("macro '{}' takes not more than {} arguments", macro.name, macro.parameters.size());
  }
}

}  // namespace tessera::jinja
