// The objects that control structures put into scope: macros and `loop`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "jinja/interpreter.h"

namespace tessera::jinja {

class MacroObject : public Object {
 public:
  MacroObject(const ast::Macro& macro, std::shared_ptr<Scope> closure, bool autoescape)
      : macro_(macro), closure_(std::move(closure)), autoescape_(autoescape) {}

  std::string type_name() const override { return "Macro"; }
  std::string repr() const override { return fmt::format("<Macro '{}'>", macro_.name); }
  std::optional<Value> attribute(std::string_view name) override;
  bool callable() const override { return true; }
  Value call(Interpreter& interpreter, Arguments& arguments) override;
  void release() override { closure_.reset(); }

 private:
  const ast::Macro& macro_;
  std::shared_ptr<Scope> closure_;
  const bool autoescape_;  // whether it is defined within {% autoescape %}
};

// `self`: its attributes are the template's blocks, to render them once more.
class TemplateObject : public Object {
 public:
  std::string type_name() const override { return "TemplateReference"; }
  std::optional<Value> attribute(std::string_view name) override;
};

// https://jinja.palletsprojects.com/en/stable/templates/#for
class LoopObject : public Object, public std::enable_shared_from_this<LoopObject> {
 public:
  LoopObject(const ast::For& loop, std::shared_ptr<Scope> outer, std::vector<Value> items,
             int depth)
      : loop_(loop), outer_(std::move(outer)), items_(std::move(items)), depth_(depth) {}

  const std::vector<Value>& items() const { return items_; }
  void move_to(size_t index) { index_ = index; }

  std::string type_name() const override { return "LoopContext"; }
  std::string repr() const override;
  std::optional<Value> attribute(std::string_view name) override;
  bool callable() const override { return true; }
  // loop(items): the body of a recursive loop once more, for these items.
  Value call(Interpreter& interpreter, Arguments& arguments) override;

  void release() override;

  Value cycle(const Arguments& arguments) const;
  // Whether the arguments differ from those of the last call.
  bool changed(Arguments& arguments, Budget& budget);

 private:
  Value neighbour(bool exists, size_t index, const char* name) const;

  const ast::For& loop_;
  std::shared_ptr<Scope> outer_;
  std::vector<Value> items_;
  int depth_;
  size_t index_ = 0;
  std::optional<std::vector<Value>> last_changed_;
};

}  // namespace tessera::jinja
