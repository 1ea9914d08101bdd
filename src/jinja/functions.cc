// Global functions.
#include <algorithm>

#include "jinja/builtins.h"
#include "jinja/operators.h"
#include "jinja/serialize.h"

namespace tessera::jinja {
namespace {

Value range(const Call& call) {
  const Bound bound = call.bind({"start", "stop", "step"}, 1);
  const bool only_stop = !bound.has(1);
  const int64_t start = only_stop ? 0 : bound.integer(0, 0);
  const int64_t stop = only_stop ? bound.integer(0, 0) : bound.integer(1, 0);
  const int64_t step = bound.integer(2, 1);
  if (step == 0) fail("range() needs a step other than zero");
  // In 128 bits nothing here overflows.
  const __int128 span =
      step > 0 ? static_cast<__int128>(stop) - start : static_cast<__int128>(start) - stop;
  const __int128 stride = step > 0 ? static_cast<__int128>(step) : -static_cast<__int128>(step);
  const __int128 count = span <= 0 ? 0 : (span + stride - 1) / stride;
  if (count > kMaxRange) fail("range() is longer than {}", kMaxRange);
  call.budget().create_items<Value>(static_cast<uint64_t>(count));
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < static_cast<int64_t>(count); ++i) items.emplace_back(start + i * step);
  const std::string repr = step == 1 ? fmt::format("range({}, {})", start, stop)
                                     : fmt::format("range({}, {}, {})", start, stop, step);
  return make_list(std::move(items), List::Kind::kRange, repr);
}

// dict(mapping, name=value...) or dict(pairs, ...); namespace() takes the same.
void fill(const Call& call, Dict& dict) {
  if (call.arguments.positional.size() > 1)
    fail("{}() takes at most one positional argument", call.name);
  if (!call.arguments.positional.empty()) {
    const Value& source = call.arguments.positional[0].defined();
    if (const Dict* other = source.dict()) {
      call.budget().create_items<Dict::Entry>(other->entries().size());
      for (const auto& [key, value] : other->entries()) {
        charge_key(key, call.budget());
        dict.set(key, value);
      }
    } else {
      for (const Value& pair : iterate(source, call.budget())) {
        const auto entry = iterate(pair, call.budget());
        if (entry.size() != 2) fail("{}() needs pairs of key and value", call.name);
        charge_key(entry[0], call.budget());
        dict.set(entry[0], entry[1]);
      }
    }
  }
  for (const auto& [name, value] : call.arguments.named) dict.set(name, value);
}

Value make_dict(const Call& call) {
  auto dict = std::make_shared<Dict>();
  fill(call, *dict);
  return dict;
}

// The name `dict` is a type: to call, and with a method of its own.
class DictType : public Object {
 public:
  std::string type_name() const override { return "type"; }
  std::string repr() const override { return "<class 'dict'>"; }
  bool callable() const override { return true; }
  std::optional<Value> attribute(std::string_view name) override {
    if (name == "fromkeys") return bind_method(dict_from_keys, "fromkeys", {});
    return std::nullopt;
  }
  Value call(Interpreter& interpreter, Arguments& arguments) override {
    return make_dict({interpreter, "dict", {}, arguments});
  }
};

Value make_namespace(const Call& call) {
  const auto names = std::make_shared<Namespace>();
  fill(call, names->values);
  call.interpreter.hold(names);
  return names;
}

Value cycler_next(const Call& call);
Value cycler_reset(const Call& call);

class Cycler : public Object, public std::enable_shared_from_this<Cycler> {
 public:
  explicit Cycler(std::vector<Value> items) : items_(make_tuple(std::move(items))) {}

  std::string type_name() const override { return "Cycler"; }
  int nesting() const override { return items_.nesting(); }
  std::optional<Value> attribute(std::string_view name) override {
    if (name == "current") return current();
    if (name == "next") return bind_method(cycler_next, "next", shared_from_this());
    if (name == "reset") return bind_method(cycler_reset, "reset", shared_from_this());
    return std::nullopt;
  }

  Value current() const { return items_.list()->items[position_]; }
  void advance() { position_ = (position_ + 1) % items_.list()->items.size(); }
  void reset() { position_ = 0; }

 private:
  Value items_;
  size_t position_ = 0;
};

Value cycler_next(const Call& call) {
  call.no_arguments();
  auto* cycler = call.self.object_as<Cycler>();
  const Value value = cycler->current();
  cycler->advance();
  return value;
}

Value cycler_reset(const Call& call) {
  call.no_arguments();
  call.self.object_as<Cycler>()->reset();
  return {};
}

Value make_cycler(const Call& call) {
  if (call.arguments.positional.empty() || !call.arguments.named.empty()) {
    fail("cycler() needs values to choose from");
  }
  return std::make_shared<Cycler>(call.arguments.positional);
}

// Gives "" the first time it is called, then the separator.
class Joiner : public Object {
 public:
  explicit Joiner(Value separator) : separator_(std::move(separator)) {}
  std::string type_name() const override { return "Joiner"; }
  int nesting() const override { return separator_.nesting(); }
  bool callable() const override { return true; }
  Value call(Interpreter&, Arguments&) override {
    return std::exchange(used_, true) ? separator_ : Value("");
  }

 private:
  Value separator_;
  bool used_ = false;
};

Value make_joiner(const Call& call) {
  return std::make_shared<Joiner>(call.bind({"sep"}).text(0, ", "));
}

// Directive by directive, so that no width in the format can ask for a huge text.
Value strftime_now(const Call& call) {
  const std::string format = call.bind({"format"}, 1).text(0, "");
  const std::tm now = call.interpreter.now();
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    std::string directive = "%";
    ++i;
    if ((format[i] == '-' || format[i] == '_' || format[i] == '^') && i + 1 < format.size()) {
      directive += format[i++];
    }
    constexpr std::string_view kLetters = "aAwdbBmyYHIpMSzZjUWcxXGuVDFTRreCghnktlPs%";
    directive += format[i];
    char buffer[128];
    if (kLetters.find(format[i]) != kLetters.npos) {
      out.append(buffer, std::strftime(buffer, sizeof(buffer), directive.c_str(), &now));
    } else if (format[i] == 'f') {
      out += "000000";
    } else {
      out += directive;
    }
    call.budget().create_text(out.size());
  }
  return out;
}

Value raise_exception(const Call& call) {
  fail("{}", to_text(call.bind({"message"}, 1)[0], call.budget()));
}

}  // namespace

const BuiltinTable& functions() {
  static const BuiltinTable table = {
      {"range", range},        {"namespace", make_namespace},  {"cycler", make_cycler},
      {"joiner", make_joiner}, {"strftime_now", strftime_now}, {"raise_exception", raise_exception},
  };
  return table;
}

std::optional<Value> find_function(std::string_view name) {
  if (name == "dict") return std::make_shared<DictType>();
  const auto found = functions().find(name);
  if (found == functions().end()) return std::nullopt;
  return bind_method(found->second, std::string(name), {});
}

}  // namespace tessera::jinja
