#include "jinja/control_objects.h"

#include <algorithm>

#include "jinja/builtins.h"
#include "jinja/operators.h"

namespace tessera::jinja {
namespace {

// loop.cycle and loop.changed as functions.
class LoopFunction : public Object {
 public:
  LoopFunction(std::shared_ptr<LoopObject> loop, bool is_cycle)
      : loop_(std::move(loop)), is_cycle_(is_cycle) {}
  std::string type_name() const override { return "method"; }
  bool callable() const override { return true; }
  Value call(Interpreter& interpreter, Arguments& arguments) override {
    if (!arguments.named.empty()) fail("loop functions take no named arguments");
    if (is_cycle_) return loop_->cycle(arguments);
    return loop_->changed(arguments, interpreter.budget());
  }

 private:
  std::shared_ptr<LoopObject> loop_;
  bool is_cycle_;
};

class BlockObject : public Object {
 public:
  explicit BlockObject(std::string name) : name_(std::move(name)) {}
  std::string type_name() const override { return "BlockReference"; }
  bool callable() const override { return true; }
  Value call(Interpreter& interpreter, Arguments& arguments) override {
    if (!arguments.positional.empty() || !arguments.named.empty())
      fail("a block takes no arguments");
    if (!interpreter.has_block(name_)) fail("there is no block '{}'", name_);
    return interpreter.render_block(name_);
  }

 private:
  std::string name_;
};

}  // namespace

std::optional<Value> TemplateObject::attribute(std::string_view name) {
  return std::make_shared<BlockObject>(std::string(name));
}

std::optional<Value> MacroObject::attribute(std::string_view name) {
  if (name == "name") return macro_.name;
  if (name != "arguments") return std::nullopt;
  std::vector<Value> names;
  for (const auto& [parameter, value] : macro_.parameters) names.emplace_back(parameter);
  return make_tuple(std::move(names));
}

Value MacroObject::call(Interpreter& interpreter, Arguments& arguments) {
  return interpreter.call_macro(macro_, closure_, autoescape_, arguments);
}

std::string LoopObject::repr() const {
  return fmt::format("<LoopContext {}/{}>", index_ + 1, items_.size());
}

Value LoopObject::neighbour(bool exists, size_t index, const char* name) const {
  if (exists) return items_[index];
  return Value::undefined(fmt::format("there is no {} item", name));
}

std::optional<Value> LoopObject::attribute(std::string_view name) {
  const size_t size = items_.size();
  if (name == "index") return index_ + 1;
  if (name == "index0") return index_;
  if (name == "revindex") return size - index_;
  if (name == "revindex0") return size - index_ - 1;
  if (name == "first") return index_ == 0;
  if (name == "last") return index_ + 1 == size;
  if (name == "length") return size;
  if (name == "depth") return depth_ + 1;
  if (name == "depth0") return depth_;
  if (name == "previtem") return neighbour(index_ > 0, index_ - 1, "previous");
  if (name == "nextitem") return neighbour(index_ + 1 < size, index_ + 1, "next");
  if (name == "cycle") return std::make_shared<LoopFunction>(shared_from_this(), true);
  if (name == "changed") return std::make_shared<LoopFunction>(shared_from_this(), false);
  return std::nullopt;
}

Value LoopObject::call(Interpreter& interpreter, Arguments& arguments) {
  if (!loop_.recursive) fail("a loop needs the 'recursive' marker to be called");
  if (arguments.positional.size() != 1 || !arguments.named.empty())
    fail("loop() takes one argument");
  return interpreter.recurse(loop_, outer_, arguments.positional[0], depth_ + 1);
}

void LoopObject::release() {
  outer_.reset();
  items_.clear();
  last_changed_.reset();
}

Value LoopObject::cycle(const Arguments& arguments) const {
  if (arguments.positional.empty()) fail("loop.cycle() needs values to choose from");
  return arguments.positional[index_ % arguments.positional.size()];
}

bool LoopObject::changed(Arguments& arguments, Budget& budget) {
  const auto& values = arguments.positional;
  const bool same =
      last_changed_ &&
      std::equal(values.begin(), values.end(), last_changed_->begin(), last_changed_->end(),
                 [&](const Value& a, const Value& b) { return equal(a, b, budget); });
  if (!same) last_changed_ = std::move(arguments.positional);
  return !same;
}

}  // namespace tessera::jinja
