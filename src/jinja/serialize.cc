#include "jinja/serialize.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "jinja/operators.h"
#include "jinja/unicode.h"

namespace tessera::jinja {
namespace {

// Python's rule for when a float is written with an exponent.
bool needs_exponent(int exponent) {
  return exponent < -4 || exponent >= 16;
}

void append_repr(std::string& out, std::string_view text) {
  const bool has_single = text.find('\'') != text.npos;
  const char quote = has_single && text.find('"') == text.npos ? '"' : '\'';
  out += quote;
  for (size_t i = 0; i < text.size();) {
    const size_t start = i;
    const char32_t c = unicode::decode(text, i);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (unicode::is_printable(c)) {
      out.append(text, start, i - start);
    } else if (c < 0x100) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
    } else if (c < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    } else {
      out += fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
    }
  }
  out += quote;
}

// Lists may share items, so the text of a small value can be huge: the size is watched on the way.
class ReprWriter {
 public:
  ReprWriter(Budget& budget, KeyOrder order) : budget_(budget), order_(order) {}

  void write(const Value& value) {
    const Budget::Nested nested(budget_);
    budget_.step();
    if (const List* list = value.list()) {
      write_list(*list);
    } else if (const Dict* dict = value.dict()) {
      out_ += '{';
      write_entries(order_ == KeyOrder::kSorted ? sorted_entries(*dict, budget_) : dict->entries());
      out_ += '}';
    } else {
      write_scalar(value);
    }
    budget_.check_text(out_.size());
  }

  std::string take() { return std::move(out_); }

 private:
  void write_entries(const std::vector<Dict::Entry>& entries) {
    const char* separator = "";
    for (const auto& [key, item] : entries) {
      out_ += std::exchange(separator, ", ");
      write(key);
      out_ += ": ";
      write(item);
    }
  }

  void write_list(const List& list) {
    const bool is_dict_view = list.kind == List::Kind::kView && !list.repr.starts_with('<');
    out_ += list.repr;
    if (!list.repr.empty() && !is_dict_view) return;
    if (is_dict_view) out_ += '(';
    out_ += list.is_tuple() ? '(' : '[';
    const char* separator = "";
    for (const Value& item : list.items) {
      out_ += std::exchange(separator, ", ");
      write(item);
    }
    if (list.is_tuple() && list.items.size() == 1) out_ += ',';
    out_ += list.is_tuple() ? ')' : ']';
    if (is_dict_view) out_ += ')';
  }

  void write_scalar(const Value& value) {
    if (const std::string* text = value.string()) {
      budget_.scan(text->size());
      if (value.is_markup()) out_ += "Markup(";
      append_repr(out_, *text);
      if (value.is_markup()) out_ += ')';
    } else if (value.is_none()) {
      out_ += "None";
    } else if (value.is_undefined()) {
      out_ += "Undefined";
    } else if (const bool* flag = value.get_if<bool>()) {
      out_ += *flag ? "True" : "False";
    } else if (const auto integer = value.integer()) {
      out_ += std::to_string(*integer);
    } else if (const double* number = value.get_if<double>()) {
      out_ += repr(*number);
    } else if (auto* names = value.object_as<Namespace>()) {
      out_ += "<Namespace {";
      write_entries(names->values.entries());
      out_ += "}>";
    } else {
      out_ += value.object()->repr();
    }
  }

  Budget& budget_;
  KeyOrder order_;
  std::string out_;
};

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, Budget& budget) : style_(style), budget_(budget) {
    // Python leaves out the space after a comma that ends a line.
    item_separator_ = style.item_separator.value_or(style.indent ? "," : ", ");
    key_separator_ = style.key_separator.value_or(": ");
  }

  void write(const Value& value) {
    const Budget::Nested nested(budget_);
    budget_.step();
    const List* list = value.list();
    if (list && list->kind != List::Kind::kView && list->kind != List::Kind::kRange) {
      write_items('[', ']', list->items, [this](const Value& item) { write(item); });
    } else if (const Dict* dict = value.dict()) {
      write_dict(*dict);
    } else if (const std::string* text = value.string()) {
      write_string(*text);
    } else if (value.is_none() || value.is_number()) {
      out_ += scalar(value);
    } else {
      fail("Object of type {} is not JSON serializable", value.type_name());
    }
    budget_.check_text(out_.size());
  }

  std::string take() { return std::move(out_); }

 private:
  template <typename Items, typename WriteItem>
  void write_items(char open, char close, const Items& items, WriteItem&& write_item) {
    out_ += open;
    ++level_;
    bool first = true;
    for (const auto& item : items) {
      if (!first) out_ += item_separator_;
      first = false;
      new_line();
      write_item(item);
      budget_.check_text(out_.size());
    }
    --level_;
    if (!first) new_line();
    out_ += close;
  }

  void write_dict(const Dict& dict) {
    std::vector<Dict::Entry> entries = dict.entries();
    budget_.create_items<Dict::Entry>(entries.size());
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(), [this](const auto& a, const auto& b) {
        return less_than(a.first, b.first, budget_);
      });
    }
    write_items('{', '}', entries, [this](const Dict::Entry& entry) {
      const auto& [key, item] = entry;
      if (const std::string* text = key.string()) {
        write_string(*text);
      } else if (key.is_none() || key.is_number()) {
        out_ += fmt::format("\"{}\"", scalar(key));
      } else {
        fail("keys must be str, int, float, bool or None, not {}", key.type_name());
      }
      out_ += key_separator_;
      write(item);
    });
  }

  static std::string scalar(const Value& value) {
    if (value.is_none()) return "null";
    if (const bool* flag = value.get_if<bool>()) return *flag ? "true" : "false";
    if (const auto integer = value.integer()) return std::to_string(*integer);
    const double number = *value.number();
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
    return repr(number);
  }

  void write_string(std::string_view text) {
    budget_.scan(text.size());
    out_ += '"';
    for (size_t i = 0; i < text.size();) {
      const size_t start = i;
      const char32_t c = unicode::decode(text, i);
      if (c == '"' || c == '\\') {
        out_ += '\\';
        out_ += static_cast<char>(c);
      } else if (c < 0x20) {
        write_control(c);
      } else if (c < 0x7f || !style_.ensure_ascii) {
        out_.append(text, start, i - start);
      } else {
        write_escape(c);
      }
    }
    out_ += '"';
  }

  void write_control(char32_t c) {
    constexpr std::string_view kCodes = "\b\t\n\f\r", kLetters = "btnfr";
    if (const size_t at = kCodes.find(static_cast<char>(c)); at != kCodes.npos) {
      out_ += '\\';
      out_ += kLetters[at];
    } else {
      write_escape(c);
    }
  }

  void write_escape(char32_t c) {
    if (c < 0x10000) {
      out_ += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    } else {
      const uint32_t rest = static_cast<uint32_t>(c) - 0x10000;
      out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + (rest >> 10), 0xdc00 + (rest & 0x3ff));
    }
  }

  void new_line() {
    if (!style_.indent) return;
    out_ += '\n';
    budget_.check_text(out_.size() + style_.indent->size() * static_cast<size_t>(level_));
    for (int i = 0; i < level_; ++i) out_ += *style_.indent;
  }

  const JsonStyle& style_;
  Budget& budget_;
  std::string item_separator_, key_separator_, out_;
  int level_ = 0;
};

}  // namespace

std::string repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto shortest = [&](std::chars_format format) {
    return std::string(buffer, std::to_chars(buffer, buffer + sizeof(buffer), value, format).ptr);
  };
  std::string text = shortest(std::chars_format::scientific);
  const int exponent = std::stoi(text.substr(text.find('e') + 1));
  if (value != 0 && needs_exponent(exponent)) return text;
  text = shortest(std::chars_format::fixed);
  if (text.find('.') == text.npos) text += ".0";
  return text;
}

std::string repr(std::string_view text) {
  std::string out;
  append_repr(out, text);
  return out;
}

std::string repr(const Value& value, Budget& budget, KeyOrder order) {
  ReprWriter writer(budget, order);
  writer.write(value);
  std::string out = writer.take();
  budget.create_text(out.size());
  return out;
}

// Keys in order, where they have one; else by the names of their types.
std::vector<Dict::Entry> sorted_entries(const Dict& dict, Budget& budget) {
  budget.create_items<Dict::Entry>(dict.entries().size());
  std::vector<Dict::Entry> entries = dict.entries();
  std::stable_sort(entries.begin(), entries.end(), [&](const auto& a, const auto& b) {
    const Value &left = a.first, &right = b.first;
    const bool ordered =
        (left.is_number() && right.is_number()) || (left.is_string() && right.is_string());
    if (ordered) return less_than(left, right, budget);
    return left.type_name() < right.type_name();
  });
  return entries;
}

std::string to_text(const Value& value, Budget& budget) {
  if (const std::string* text = value.string()) return *text;
  if (value.is_undefined()) return "";
  return repr(value, budget);
}

std::string to_json(const Value& value, const JsonStyle& style, Budget& budget) {
  JsonWriter writer(style, budget);
  writer.write(value);
  std::string out = writer.take();
  budget.create_text(out.size());
  return out;
}

}  // namespace tessera::jinja
