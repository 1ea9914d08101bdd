// Filters that work on lists and dictionaries.
#include <algorithm>

#include "jinja/builtins.h"
#include "jinja/html.h"
#include "jinja/operators.h"
#include "jinja/serialize.h"
#include "jinja/unicode.h"

namespace tessera::jinja {
namespace {

Value view(std::vector<Value> items) {
  return make_list(std::move(items), List::Kind::kView, "<generator object>");
}

std::vector<Value> items_of(const Call& call) {
  return iterate(call.self, call.budget());
}

// Follows "a.b.0" from an item.
Value follow(const Call& call, Value item, const Value& path,
             const std::optional<Value>& otherwise) {
  std::vector<Value> steps;
  if (const std::string* text = path.string()) {
    for (size_t begin = 0; begin <= text->size();) {
      const size_t end = std::min(text->find('.', begin), text->size());
      const std::string part = text->substr(begin, end - begin);
      const bool is_index =
          !part.empty() && part.size() < 18 && part.find_first_not_of("0123456789") == part.npos;
      steps.push_back(is_index ? Value(std::stoll(part)) : Value(part));
      begin = end + 1;
    }
  } else {
    steps.push_back(path);
  }
  for (const Value& step : steps) {
    item = call.interpreter.get_item(item, step);
    if (otherwise && item.is_undefined()) item = *otherwise;
  }
  return item;
}

// Texts compare without regard to case unless the template says otherwise.
Value sort_key(const Call& call, const Value& value, bool case_sensitive) {
  const std::string* text = value.string();
  if (case_sensitive || !text) return value;
  call.budget().create_text(text->size());
  return unicode::lower(*text);
}

struct Keyed {
  Value key, value;
};

void sort_by_key(const Call& call, std::vector<Keyed>& items, bool reverse) {
  const auto before = [&](const Keyed& a, const Keyed& b) {
    return reverse ? less_than(b.key, a.key, call.budget())
                   : less_than(a.key, b.key, call.budget());
  };
  std::stable_sort(items.begin(), items.end(), before);
}

std::vector<Value> values_of(std::vector<Keyed> items) {
  std::vector<Value> values;
  for (Keyed& item : items) values.push_back(std::move(item.value));
  return values;
}

// "a,b.c" sorts by several attributes: the key is then a tuple.
Value attribute_key(const Call& call, const Value& item, const Bound& bound, size_t parameter,
                    bool case_sensitive) {
  if (!bound.given(parameter)) return sort_key(call, item, case_sensitive);
  const std::string* names = bound[parameter].string();
  if (!names || names->find(',') == names->npos) {
    return sort_key(call, follow(call, item, bound[parameter], std::nullopt), case_sensitive);
  }
  std::vector<Value> keys;
  for (size_t begin = 0; begin <= names->size();) {
    const size_t end = std::min(names->find(',', begin), names->size());
    const Value path = names->substr(begin, end - begin);
    keys.push_back(sort_key(call, follow(call, item, path, std::nullopt), case_sensitive));
    begin = end + 1;
  }
  return make_tuple(std::move(keys));
}

std::vector<Keyed> keyed_items(const Call& call, const Bound& bound, size_t attribute,
                               bool case_sensitive) {
  std::vector<Keyed> items;
  for (Value& value : items_of(call)) {
    Value key = attribute_key(call, value, bound, attribute, case_sensitive);
    items.push_back({std::move(key), std::move(value)});
  }
  return items;
}

Value sort(const Call& call) {
  const Bound bound = call.bind({"reverse", "case_sensitive", "attribute"});
  std::vector<Keyed> items = keyed_items(call, bound, 2, bound.truth(1, false));
  sort_by_key(call, items, bound.truth(0, false));
  return make_list(values_of(std::move(items)));
}

Value dictsort(const Call& call) {
  const Bound bound = call.bind({"case_sensitive", "by", "reverse"});
  const std::string by = bound.text(1, "key");
  if (by != "key" && by != "value") fail("dictsort: 'by' is \"key\" or \"value\"");
  const Dict* dict = call.self.defined().dict();
  if (!dict) fail("dictsort needs a dictionary, not {}", call.self.type_name());
  std::vector<Keyed> items;
  for (const auto& [key, value] : dict->entries()) {
    items.push_back({sort_key(call, by == "key" ? key : value, bound.truth(0, false)),
                     make_tuple({key, value})});
  }
  sort_by_key(call, items, bound.truth(2, false));
  return make_list(values_of(std::move(items)));
}

Value unique(const Call& call) {
  const Bound bound = call.bind({"case_sensitive", "attribute"});
  Dict seen;
  std::vector<Value> items;
  for (Keyed& item : keyed_items(call, bound, 1, bound.truth(0, false))) {
    charge_key(item.key, call.budget());
    if (seen.find(item.key)) continue;
    seen.set(item.key, {});
    items.push_back(std::move(item.value));
  }
  return view(std::move(items));
}

template <bool wants_less>
Value extreme(const Call& call) {
  const Bound bound = call.bind({"case_sensitive", "attribute"});
  const std::vector<Keyed> items = keyed_items(call, bound, 1, bound.truth(0, false));
  if (items.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  const Keyed* best = &items[0];
  for (const Keyed& item : items) {
    const bool better = wants_less ? less_than(item.key, best->key, call.budget())
                                   : less_than(best->key, item.key, call.budget());
    if (better) best = &item;
  }
  return best->value;
}

Value groupby(const Call& call) {
  const Bound bound = call.bind({"attribute", "default", "case_sensitive"}, 1);
  const auto otherwise = bound.has(1) ? std::optional(bound[1]) : std::nullopt;
  std::vector<Keyed> items;
  for (Value& value : items_of(call)) {
    const Value key = follow(call, value, bound[0], otherwise);
    items.push_back({sort_key(call, key, bound.truth(2, false)), make_tuple({key, value})});
  }
  sort_by_key(call, items, false);
  std::vector<Value> groups;
  for (size_t i = 0; i < items.size();) {
    const size_t first = i;
    std::vector<Value> members;
    for (; i < items.size() && equal(items[i].key, items[first].key, call.budget()); ++i) {
      members.push_back(items[i].value.list()->items[1]);
    }
    i = std::max(i, first + 1);  // a NaN does not even equal itself
    groups.push_back(make_list({items[first].value.list()->items[0], make_list(std::move(members))},
                               List::Kind::kGroup));
  }
  return make_list(std::move(groups));
}

// Jinja takes anything false, None for one, as an empty sequence; so does select.
Value map(const Call& call) {
  Arguments& arguments = call.arguments;
  if (!call.self.truthy()) return view({});
  std::vector<Value> results;
  if (arguments.positional.empty()) {
    const Bound bound = call.bind({"attribute", "default"}, 1);
    const auto otherwise = bound.has(1) ? std::optional(bound[1]) : std::nullopt;
    for (Value& item : items_of(call)) {
      results.push_back(follow(call, std::move(item), bound[0], otherwise));
    }
    return view(std::move(results));
  }
  const std::string* filter = arguments.positional[0].string();
  if (!filter) fail("map needs the name of a filter");
  for (const Value& item : items_of(call)) {
    Arguments rest{{arguments.positional.begin() + 1, arguments.positional.end()}, arguments.named};
    results.push_back(call.interpreter.apply_filter(*filter, item, rest));
  }
  return view(std::move(results));
}

// select, reject (is an item ...?) and selectattr, rejectattr (is its attribute ...?).
template <bool by_attribute, bool wanted>
Value select(const Call& call) {
  if (!call.self.truthy()) return view({});
  const auto& positional = call.arguments.positional;
  if (by_attribute && positional.empty()) fail("{} needs the name of an attribute", call.name);
  const size_t test_index = by_attribute ? 1 : 0;
  const bool has_test = positional.size() > test_index;
  if (has_test && !positional[test_index].string()) fail("{} needs the name of a test", call.name);
  std::vector<Value> selected;
  for (Value& item : items_of(call)) {
    const Value subject = by_attribute ? follow(call, item, positional[0], std::nullopt) : item;
    bool passes;
    if (has_test) {
      Arguments rest{{positional.begin() + test_index + 1, positional.end()}, call.arguments.named};
      passes = call.interpreter.apply_test(*positional[test_index].string(), subject, rest);
    } else {
      passes = subject.truthy();
    }
    if (passes == wanted) selected.push_back(std::move(item));
  }
  return view(std::move(selected));
}

Value sum(const Call& call) {
  const Bound bound = call.bind({"attribute", "start"});
  Value total = bound.get(1, 0);
  if (total.string()) fail("sum cannot add strings: use join");
  for (Value& item : items_of(call)) {
    const Value value =
        bound.given(0) ? follow(call, std::move(item), bound[0], std::nullopt) : item;
    total = apply(BinaryOperator::kAdd, total, value, call.budget());
  }
  return total;
}

bool is_safe(const Value& value) {
  return value.is_markup();
}

Value join(const Call& call) {
  const Bound bound = call.bind({"d", "attribute"});
  Value separator = bound.get(0, "");
  std::vector<Value> items = items_of(call);
  for (Value& item : items) {
    if (bound.given(1)) item = follow(call, std::move(item), bound[1], std::nullopt);
  }
  // Where the template escapes on its own, one safe part makes the others so.
  const bool safe = call.interpreter.autoescape() &&
                    (separator.is_markup() || std::any_of(items.begin(), items.end(), is_safe));
  if (safe) {
    separator = escape(separator, call.budget());
    for (Value& item : items) item = escape(item, call.budget());
  }
  std::string out;
  const std::string between = to_text(separator, call.budget());
  bool first = true;
  for (const Value& item : items) {
    if (!first) out += between;
    first = false;
    const std::string* text = item.string();
    call.budget().check_text(out.size() + (text ? text->size() : 0));
    call.budget().scan(between.size() + (text ? text->size() : 0));
    out += text ? *text : to_text(item, call.budget());
  }
  return safe ? Value::markup(std::move(out)) : Value(std::move(out));
}

Value list(const Call& call) {
  call.no_arguments();
  return make_list(items_of(call));
}

Value first(const Call& call) {
  call.no_arguments();
  const auto items = items_of(call);
  return items.empty() ? Value::undefined("No first item, sequence was empty.") : items.front();
}

Value last(const Call& call) {
  call.no_arguments();
  const auto items = items_of(call);
  return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.back();
}

Value reverse(const Call& call) {
  call.no_arguments();
  std::vector<Value> items = items_of(call);
  std::reverse(items.begin(), items.end());
  if (!call.self.string()) return view(std::move(items));
  std::string out;
  for (const Value& item : items) out += *item.string();
  return call.self.is_markup() ? Value::markup(std::move(out)) : Value(std::move(out));
}

Value items(const Call& call) {
  call.no_arguments();
  if (call.self.is_undefined()) return view({});
  const Dict* dict = call.self.dict();
  if (!dict) fail("items needs a mapping, not {}", call.self.type_name());
  std::vector<Value> pairs;
  for (const auto& [key, value] : dict->entries()) pairs.push_back(make_tuple({key, value}));
  return view(std::move(pairs));
}

int64_t positive_count(const Bound& bound, std::string_view name) {
  const int64_t count = bound.integer(0, 1);
  if (count < 1) fail("{} needs a count of at least 1", name);
  return count;
}

// Rows of `linecount` items.
Value batch(const Call& call) {
  const Bound bound = call.bind({"linecount", "fill_with"}, 1);
  const auto width = static_cast<size_t>(positive_count(bound, call.name));
  std::vector<Value> rows, row;
  for (Value& item : items_of(call)) {
    if (row.size() == width) rows.push_back(make_list(std::exchange(row, {})));
    row.push_back(std::move(item));
  }
  if (!row.empty()) {
    if (bound.given(1) && row.size() < width) {
      call.budget().create_items<Value>(width);
      row.resize(width, bound[1]);
    }
    rows.push_back(make_list(std::move(row)));
  }
  return view(std::move(rows));
}

// `slices` lists of nearly the same length.
Value slice_evenly(const Call& call) {
  const Bound bound = call.bind({"slices", "fill_with"}, 1);
  const auto slices = static_cast<size_t>(positive_count(bound, call.name));
  call.budget().create_items<List>(slices);
  const std::vector<Value> all = items_of(call);
  const size_t per_slice = all.size() / slices;
  const size_t with_extra = all.size() % slices;
  std::vector<Value> columns;
  size_t begin = 0;
  for (size_t i = 0; i < slices; ++i) {
    const size_t end = begin + per_slice + (i < with_extra ? 1 : 0);
    std::vector<Value> column(all.begin() + static_cast<ptrdiff_t>(begin),
                              all.begin() + static_cast<ptrdiff_t>(end));
    if (bound.given(1) && i >= with_extra) column.push_back(bound[1]);
    columns.push_back(make_list(std::move(column)));
    begin = end;
  }
  return view(std::move(columns));
}

Value count(const Call& call) {
  call.no_arguments();
  return length(call.self, call.budget());
}

// One of the items. Which one depends on nothing but how many there are: a prompt that changes from
// one rendering to the next could neither be cached nor looked into.
Value random(const Call& call) {
  call.no_arguments();
  const auto items = items_of(call);
  if (items.empty()) return Value::undefined("No random item, sequence was empty.");
  return items[(items.size() * 0x9e3779b9u >> 7) % items.size()];
}

Value attr(const Call& call) {
  const std::string name = call.bind({"name"}, 1).text(0, "");
  if (call.self.dict() && !find_method(call.self, name)) {
    return Value::undefined(fmt::format("'dict object' has no attribute '{}'", name));
  }
  return call.interpreter.get_attribute(call.self, name);
}

}  // namespace

const BuiltinTable& sequence_filters() {
  static const BuiltinTable table = {
      {"attr", attr},
      {"batch", batch},
      {"count", count},
      {"dictsort", dictsort},
      {"first", first},
      {"groupby", groupby},
      {"items", items},
      {"join", join},
      {"last", last},
      {"length", count},
      {"list", list},
      {"map", map},
      {"max", extreme<false>},
      {"min", extreme<true>},
      {"random", random},
      {"reject", select<false, false>},
      {"rejectattr", select<true, false>},
      {"reverse", reverse},
      {"select", select<false, true>},
      {"selectattr", select<true, true>},
      {"slice", slice_evenly},
      {"sort", sort},
      {"sum", sum},
      {"unique", unique},
  };
  return table;
}

}  // namespace tessera::jinja
