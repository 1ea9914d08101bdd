// pprint.pformat(): containers that do not fit a line take one line for each item.
#include "jinja/serialize.h"
#include "jinja/unicode.h"
#include "jinja/wrap.h"

namespace tessera::jinja {
namespace {

constexpr int64_t kPageWidth = 80;

int64_t width_of(std::string_view text) {
  return static_cast<int64_t>(unicode::length(text));
}

// Every method starts at column `indent` and leaves `allowance` columns for what closes after it.
class PrettyPrinter {
 public:
  explicit PrettyPrinter(Budget& budget) : budget_(budget) {}

  std::string run(const Value& value) {
    write(value, 0, 0);
    return std::move(out_);
  }

 private:
  void write(const Value& value, int64_t indent, int64_t allowance) {
    const Budget::Nested nested(budget_);
    ++level_;
    const std::string flat = repr(value, budget_, KeyOrder::kSorted);
    const Dict* dict = value.dict();
    const List* list = value.list();
    if (width_of(flat) <= kPageWidth - indent - allowance) {
      add(flat);
    } else if (dict) {
      write_dict(*dict, indent, allowance);
    } else if (list && (list->kind == List::Kind::kList || list->kind == List::Kind::kTuple)) {
      write_list(*list, indent, allowance);
    } else if (value.string() && !value.is_markup()) {
      write_text(*value.string(), indent, allowance);
    } else {
      add(flat);
    }
    --level_;
  }

  void write_dict(const Dict& dict, int64_t indent, int64_t allowance) {
    const auto entries = sorted_entries(dict, budget_);
    add("{");
    for (size_t i = 0; i < entries.size(); ++i) {
      const std::string key = repr(entries[i].first, budget_, KeyOrder::kSorted) + ": ";
      if (i > 0) new_line(indent + 1, ",");
      add(key);
      const bool is_last = i + 1 == entries.size();
      write(entries[i].second, indent + 1 + width_of(key), is_last ? allowance + 1 : 1);
    }
    add("}");
  }

  void write_list(const List& list, int64_t indent, int64_t allowance) {
    const std::string close = !list.is_tuple() ? "]" : list.items.size() == 1 ? ",)" : ")";
    add(list.is_tuple() ? "(" : "[");
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) new_line(indent + 1, ",");
      const bool is_last = i + 1 == list.items.size();
      write(list.items[i], indent + 1, is_last ? allowance + width_of(close) : 1);
    }
    add(close);
  }

  // A long text becomes several literals, one a line, divided after line breaks and white space.
  void write_text(const std::string& text, int64_t indent, int64_t allowance) {
    const bool is_whole = level_ == 1;  // then in parentheses
    if (is_whole) {
      ++indent;
      ++allowance;
    }
    const auto literals = divide(text, kPageWidth - indent, allowance);
    if (is_whole && literals.size() > 1) add("(");
    for (size_t i = 0; i < literals.size(); ++i) {
      if (i > 0) new_line(indent, "");
      add(literals[i]);
    }
    if (is_whole && literals.size() > 1) add(")");
  }

  std::vector<std::string> divide(const std::string& text, int64_t width, int64_t allowance) {
    std::vector<std::string> literals;
    const auto lines = unicode::split_lines(text, true);
    for (size_t i = 0; i < lines.size(); ++i) {
      const bool is_last_line = i + 1 == lines.size();
      const std::string literal = repr(lines[i]);
      if (width_of(literal) <= width - (is_last_line ? allowance : 0)) {
        literals.push_back(literal);
        continue;
      }
      std::string current;
      const auto words = split_after_space(lines[i]);
      for (size_t j = 0; j < words.size(); ++j) {
        const bool is_last = is_last_line && j + 1 == words.size();
        const std::string longer = current + std::string(words[j]);
        budget_.scan(longer.size());
        if (width_of(repr(longer)) <= width - (is_last ? allowance : 0)) {
          current = longer;
        } else {
          if (!current.empty()) literals.push_back(repr(current));
          current = words[j];
        }
      }
      if (!current.empty()) literals.push_back(repr(current));
    }
    return literals;
  }

  // Words with the white space behind each.
  static std::vector<std::string_view> split_after_space(std::string_view line) {
    std::vector<std::string_view> words;
    size_t begin = 0;
    bool in_space = false;
    for (size_t i = 0; i < line.size();) {
      const size_t at = i;
      const bool is_space = unicode::is_space(unicode::decode(line, i));
      if (in_space && !is_space) {
        words.push_back(line.substr(begin, at - begin));
        begin = at;
      }
      in_space = is_space;
    }
    words.push_back(line.substr(begin));
    return words;
  }

  void new_line(int64_t indent, std::string_view separator) {
    add(separator);
    budget_.check_text(out_.size() + static_cast<size_t>(indent));
    out_ += '\n';
    out_.append(static_cast<size_t>(indent), ' ');
  }

  void add(std::string_view text) {
    budget_.check_text(out_.size() + text.size());
    budget_.scan(text.size());
    out_ += text;
  }

  Budget& budget_;
  std::string out_;
  int level_ = 0;
};

}  // namespace

std::string pretty(const Value& value, Budget& budget) {
  return PrettyPrinter(budget).run(value);
}

}  // namespace tessera::jinja
