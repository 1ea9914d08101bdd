#include "text/marked_call.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "text/call_json.h"

namespace tessera {
namespace {

constexpr std::string_view kNoNames = ":}<\n";  // none of these within a name

constexpr int kMaxCallDepth = 64;
constexpr std::string_view kCallBlanks = " \t\r\n", kCallWord = "call:";

// Thrown where the text ends, and where it is no call.
struct CallStop {
  MarkedCall::Kind kind;
};

class MarkedCallReader {
 public:
  explicit MarkedCallReader(std::string_view text) : rest_(text) {}

  MarkedCall read() {
    try {
      skip_blanks();
      expect(kCallWord);
      read_name();
      read_object(0);
      skip_blanks();
      call_.kind = rest_.empty() ? MarkedCall::Kind::kWhole : MarkedCall::Kind::kNone;
    } catch (const CallStop& end) {
      call_.kind = end.kind;
    }
    return std::move(call_);
  }

 private:
  [[noreturn]] void stop(MarkedCall::Kind kind) const { throw CallStop{kind}; }

  void skip_blanks() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(kCallBlanks), rest_.size()));
  }
  char peek() {
    skip_blanks();
    if (rest_.empty()) stop(MarkedCall::Kind::kBeginning);
    return rest_.front();
  }
  bool take(char c) {
    if (peek() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(std::string_view text) {
    if (!rest_.starts_with(text))
      stop(text.starts_with(rest_) ? MarkedCall::Kind::kBeginning : MarkedCall::Kind::kNone);
    rest_.remove_prefix(text.size());
  }

  void read_name() {
    const size_t end = rest_.find('{');
    call_.name = rest_.substr(0, end);
    if (call_.name.find_first_of(kNoNames) != std::string::npos) stop(MarkedCall::Kind::kNone);
    if (end == rest_.npos) stop(MarkedCall::Kind::kBeginning);
    if (call_.name.empty()) stop(MarkedCall::Kind::kNone);
    call_.has_name = true;
    rest_.remove_prefix(end);
  }

  void read_object(int depth) {
    if (depth == kMaxCallDepth) stop(MarkedCall::Kind::kNone);
    read_list('{', '}', [&] {
      read_key();
      if (!take(':')) stop(MarkedCall::Kind::kNone);
      call_.arguments += ':';
      read_value(depth + 1);
    });
  }

  template <typename ReadEntry>
  void read_list(char open, char close, const ReadEntry& read_entry) {
    if (!take(open)) stop(MarkedCall::Kind::kNone);
    call_.arguments += open;
    for (bool first = true; !take(close); first = false) {
      if (!first) {
        if (!take(',')) stop(MarkedCall::Kind::kNone);
        peek();  // a comma that nothing follows yet is not written
        call_.arguments += ',';
      }
      read_entry();
    }
    call_.arguments += close;
  }

  void read_key() {
    if (peek() == '"') return read_json_text();
    if (is_quote_ahead()) return read_text();
    const size_t end = rest_.find_first_of(":}");
    if (end == rest_.npos) stop(MarkedCall::Kind::kBeginning);
    std::string_view key = rest_.substr(0, end);
    key = key.substr(0, key.find_last_not_of(kCallBlanks) + 1);
    if (key.empty()) stop(MarkedCall::Kind::kNone);
    call_.arguments += to_text(std::string(key));
    rest_.remove_prefix(end);
  }

  bool is_quote_ahead() const { return rest_.starts_with(kMarkedQuote.substr(0, 2)); }

  void read_text() {
    expect(kMarkedQuote);
    const size_t end = rest_.find(kMarkedQuote);
    std::string_view text = rest_.substr(0, end);
    if (end == rest_.npos) {
      size_t begun = std::min(text.size(), kMarkedQuote.size() - 1);
      while (!text.ends_with(kMarkedQuote.substr(0, begun))) --begun;
      text.remove_suffix(begun);
    }
    std::string quoted = to_text(std::string(text));
    if (end == rest_.npos) quoted.pop_back();
    call_.arguments += quoted;
    if (end == rest_.npos) stop(MarkedCall::Kind::kBeginning);
    rest_.remove_prefix(end + kMarkedQuote.size());
  }

  void read_json_text() {
    const size_t end = json_value_length(rest_);
    const std::string_view text = rest_.substr(0, end);
    call_.arguments += text;
    if (end == rest_.npos) stop(MarkedCall::Kind::kBeginning);
    if (!nlohmann::json::accept(text.begin(), text.end())) stop(MarkedCall::Kind::kNone);
    rest_.remove_prefix(end);
  }

  void read_value(int depth) {
    const char c = peek();
    if (c == '"') return read_json_text();
    if (is_quote_ahead() || rest_ == kMarkedQuote.substr(0, 1)) return read_text();
    if (c == '{') return read_object(depth);
    if (c == '[') {
      if (depth == kMaxCallDepth) stop(MarkedCall::Kind::kNone);
      return read_list('[', ']', [&] { read_value(depth + 1); });
    }
    read_word();
  }

  // A number, true, false or null.
  void read_word() {
    const size_t end = rest_.find_first_of(",}] \t\r\n");
    const std::string_view word = rest_.substr(0, end);
    if (end == rest_.npos && begins_word(word)) {
      call_.arguments += word;
      stop(MarkedCall::Kind::kBeginning);
    }
    if (word.empty() || !nlohmann::json::accept(word.begin(), word.end()))
      stop(MarkedCall::Kind::kNone);
    call_.arguments += word;
    rest_.remove_prefix(end);
  }

  static bool begins_word(std::string_view word) {
    for (const std::string_view whole : {"true", "false", "null"}) {
      if (whole.starts_with(word)) return true;
    }
    return word.find_first_not_of("+-.0123456789eE") == word.npos;
  }

  std::string_view rest_;
  MarkedCall call_;
};

}  // namespace

MarkedCall parse_marked_call(std::string_view text) {
  return MarkedCallReader(text).read();
}

size_t find_outside_texts(std::string_view call, std::string_view mark) {
  for (size_t i = 0; i < call.size();) {
    const std::string_view rest = call.substr(i);
    if (rest.starts_with(mark)) return i;
    if (rest.starts_with(kMarkedQuote)) {
      const size_t end = rest.find(kMarkedQuote, kMarkedQuote.size());
      if (end == rest.npos) return rest.npos;
      i += end + kMarkedQuote.size();
    } else if (rest.front() == '"') {
      const size_t length = json_value_length(rest);
      if (length == rest.npos) return rest.npos;
      i += length;
    } else {
      ++i;
    }
  }
  return call.npos;
}

bool can_be_marked(std::string_view name) {
  return !name.empty() && name.find_first_of(kNoNames) == name.npos && name.find('{') == name.npos;
}

}  // namespace tessera
