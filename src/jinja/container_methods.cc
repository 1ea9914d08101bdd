// Methods of list and dict. Hugging Face's sandbox forbids those that change their object; other
// engines allow them and templates exist that rely on it, so they work here.
#include <algorithm>

#include "jinja/builtins.h"
#include "jinja/operators.h"

namespace tessera::jinja {
namespace {

// The list, about to be changed. Tuples and ranges look the same but never change.
List& mutable_list(const Call& call) {
  List& list = *call.self.list();
  if (list.kind != List::Kind::kList)
    fail("'{}' object has no method {}()", call.self.type_name(), call.name);
  call.interpreter.hold(call.self);
  return list;
}

Dict& mutable_dict(const Call& call) {
  call.interpreter.hold(call.self);
  return *call.self.dict();
}

// Makes room for what will be inserted, in the budget and in the nesting.
void note_growth(const Call& call, List& list, const Value& value) {
  call.budget().create_items<Value>(2);
  list.nesting = std::max(list.nesting, std::min(value.nesting() + 1, kMaxNesting));
}

Value list_append(const Call& call) {
  const Value value = call.bind({"object"}, 1)[0];
  List& list = mutable_list(call);
  note_growth(call, list, value);
  list.items.push_back(value);
  return {};
}

Value list_extend(const Call& call) {
  const auto values = iterate(call.bind({"iterable"}, 1)[0].defined(), call.budget());
  List& list = mutable_list(call);
  for (const Value& value : values) {
    note_growth(call, list, value);
    list.items.push_back(value);
  }
  return {};
}

Value list_insert(const Call& call) {
  const Bound bound = call.bind({"index", "object"}, 2);
  int64_t index = bound.integer(0, 0);
  List& list = mutable_list(call);
  const auto size = static_cast<int64_t>(list.items.size());
  if (index < 0) index += size;
  call.budget().step(list.items.size());
  note_growth(call, list, bound[1]);
  list.items.insert(list.items.begin() + std::clamp<int64_t>(index, 0, size), bound[1]);
  return {};
}

Value list_pop(const Call& call) {
  int64_t index = call.bind({"index"}).integer(0, -1);
  List& list = mutable_list(call);
  const auto size = static_cast<int64_t>(list.items.size());
  if (index < 0) index += size;
  if (index < 0 || index >= size) fail("pop(): the index is out of range");
  call.budget().step(list.items.size());
  const Value value = list.items[static_cast<size_t>(index)];
  list.items.erase(list.items.begin() + index);
  return value;
}

Value list_remove(const Call& call) {
  const Value value = call.bind({"value"}, 1)[0];
  List& list = mutable_list(call);
  call.budget().step(list.items.size());
  const auto found = std::find_if(list.items.begin(), list.items.end(), [&](const Value& item) {
    return equal(item, value, call.budget());
  });
  if (found == list.items.end()) fail("remove(): the value is not in the list");
  list.items.erase(found);
  return {};
}

Value list_sort(const Call& call) {
  const Bound bound = call.bind({"key", "reverse"});
  if (bound.given(0)) fail("sort() takes no key here: use the filter 'sort' with an attribute");
  const bool reverse = bound.truth(1, false);
  List& list = mutable_list(call);
  std::vector<Value> items = iterate(call.self, call.budget());
  std::stable_sort(items.begin(), items.end(), [&](const Value& a, const Value& b) {
    return reverse ? less_than(b, a, call.budget()) : less_than(a, b, call.budget());
  });
  list.items = std::move(items);
  return {};
}

Value list_reverse(const Call& call) {
  call.no_arguments();
  List& list = mutable_list(call);
  call.budget().step(list.items.size());
  std::reverse(list.items.begin(), list.items.end());
  return {};
}

Value list_clear(const Call& call) {
  call.no_arguments();
  mutable_list(call).items.clear();
  return {};
}

Value list_copy(const Call& call) {
  call.no_arguments();
  return make_list(iterate(call.self, call.budget()));
}

Value list_index(const Call& call) {
  const Value wanted = call.bind({"value"}, 1)[0];
  const auto& items = call.self.list()->items;
  for (size_t i = 0; i < items.size(); ++i) {
    if (equal(items[i], wanted, call.budget())) return i;
  }
  fail("index(): the value is not in the list");
}

Value list_count(const Call& call) {
  const Value wanted = call.bind({"value"}, 1)[0];
  const auto& items = call.self.list()->items;
  return std::count_if(items.begin(), items.end(),
                       [&](const Value& item) { return equal(item, wanted, call.budget()); });
}

enum class View { kKeys, kValues, kItems };

template <View kind>
Value dict_view(const Call& call) {
  call.no_arguments();
  const auto& entries = call.self.dict()->entries();
  call.budget().create_items<Dict::Entry>(entries.size());
  std::vector<Value> items;
  for (const auto& [key, value] : entries) {
    items.push_back(kind == View::kKeys     ? key
                    : kind == View::kValues ? value
                                            : make_tuple({key, value}));
  }
  const char* name = kind == View::kKeys     ? "dict_keys"
                     : kind == View::kValues ? "dict_values"
                                             : "dict_items";
  return make_list(std::move(items), List::Kind::kView, name);
}

Value dict_get(const Call& call) {
  const Bound bound = call.bind({"key", "default"}, 1);
  charge_key(bound[0], call.budget());
  const Value* found = call.self.dict()->find(bound[0]);
  return found ? *found : bound.get(1, {});
}

Value dict_set_default(const Call& call) {
  const Bound bound = call.bind({"key", "default"}, 1);
  charge_key(bound[0], call.budget());
  if (const Value* found = call.self.dict()->find(bound[0])) return *found;
  call.budget().create_items<Dict::Entry>(2);
  mutable_dict(call).set(bound[0], bound.get(1, {}));
  return bound.get(1, {});
}

Value dict_pop(const Call& call) {
  const Bound bound = call.bind({"key", "default"}, 1);
  charge_key(bound[0], call.budget());
  Dict& dict = mutable_dict(call);
  call.budget().step(dict.entries().size());
  if (const Value* found = dict.find(bound[0])) {
    const Value value = *found;
    dict.remove(bound[0]);
    return value;
  }
  if (!bound.has(1)) fail("pop(): the key does not exist");
  return bound[1];
}

Value dict_pop_item(const Call& call) {
  call.no_arguments();
  Dict& dict = mutable_dict(call);
  if (dict.entries().empty()) fail("popitem(): the dictionary is empty");
  const Dict::Entry last = dict.entries().back();
  dict.remove(last.first);
  return make_tuple({last.first, last.second});
}

Value dict_update(const Call& call) {
  Dict& dict = mutable_dict(call);
  const auto& [positional, named] = call.arguments;
  if (positional.size() > 1) fail("update() takes at most one positional argument");
  if (!positional.empty()) {
    const Dict* other = positional[0].defined().dict();
    if (!other) fail("update() expects a dictionary, not {}", positional[0].type_name());
    const std::vector<Dict::Entry> entries = other->entries();  // a copy: it may be the same one
    call.budget().create_items<Dict::Entry>(2 * entries.size());
    for (const auto& [key, value] : entries) {
      charge_key(key, call.budget());
      dict.set(key, value);
    }
  }
  call.budget().create_items<Dict::Entry>(2 * named.size());
  for (const auto& [name, value] : named) dict.set(name, value);
  return {};
}

Value dict_clear(const Call& call) {
  call.no_arguments();
  mutable_dict(call).clear();
  return {};
}

Value dict_copy(const Call& call) {
  call.no_arguments();
  auto copy = std::make_shared<Dict>();
  call.budget().create_items<Dict::Entry>(2 * call.self.dict()->entries().size());
  for (const auto& [key, value] : call.self.dict()->entries()) {
    charge_key(key, call.budget());
    copy->set(key, value);
  }
  return copy;
}

}  // namespace

Value dict_from_keys(const Call& call) {
  const Bound bound = call.bind({"iterable", "value"}, 1);
  auto dict = std::make_shared<Dict>();
  for (const Value& key : iterate(bound[0].defined(), call.budget())) {
    charge_key(key, call.budget());
    call.budget().create_items<Dict::Entry>(2);
    dict->set(key, bound.get(1, {}));
  }
  return dict;
}

const BuiltinTable& list_methods() {
  static const BuiltinTable table = {
      {"append", list_append},   {"clear", list_clear},   {"copy", list_copy},
      {"count", list_count},     {"extend", list_extend}, {"index", list_index},
      {"insert", list_insert},   {"pop", list_pop},       {"remove", list_remove},
      {"reverse", list_reverse}, {"sort", list_sort},
  };
  return table;
}

const BuiltinTable& dict_methods() {
  static const BuiltinTable table = {
      {"clear", dict_clear},
      {"copy", dict_copy},
      {"fromkeys", dict_from_keys},
      {"get", dict_get},
      {"items", dict_view<View::kItems>},
      {"keys", dict_view<View::kKeys>},
      {"pop", dict_pop},
      {"popitem", dict_pop_item},
      {"setdefault", dict_set_default},
      {"update", dict_update},
      {"values", dict_view<View::kValues>},
  };
  return table;
}

}  // namespace tessera::jinja
