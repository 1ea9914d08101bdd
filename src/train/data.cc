#include "train/data.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/printable.h"

namespace tessera::train {
namespace {

using nlohmann::ordered_json;

constexpr int kMaxDepth = 64;  // of values: whatever walks them goes as deep

bool bound_depth(int depth, ordered_json::parse_event_t, ordered_json&) {
  if (depth > kMaxDepth) fail("the JSON is nested more than {} deep", kMaxDepth);
  return true;
}

ordered_json parse_line(std::string_view line, size_t number) {
  try {
    return ordered_json::parse(line, bound_depth);
  } catch (const nlohmann::json::exception& error) {
    fail("line {} is no JSON: {}", number, printable(error.what()));
  } catch (const Error& error) {
    fail("line {}: {}", number, error.what());
  }
}

// A text of which some stretches count.
class Builder {
 public:
  explicit Builder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void add(std::string_view text, bool counts, bool parse_special = true) {
    if (text.empty()) return;
    const bool begins = tokens_.empty();
    EncodeOptions options{
        .add_special = begins, .parse_special = parse_special, .continues = !begins};
    std::vector<Token> more = tokenizer_.encode(text, options);
    // What an encoder puts behind the whole text does not stand within it.
    if (begins && more.size() > 1 && more.back() == tokenizer_.eos() &&
        !text.ends_with(tokenizer_.token_text(more.back())))
      more.pop_back();
    counts_.insert(counts_.end(), more.size(), counts);
    tokens_.insert(tokens_.end(), more.begin(), more.end());
  }
  void add_end() {
    if (const auto eos = tokenizer_.eos()) {
      tokens_.push_back(*eos);
      counts_.push_back(true);
    }
  }

  // Nothing if no token counts that stands within the length.
  std::optional<Example> finish(int length) const {
    if (tokens_.size() < 2) return std::nullopt;
    const size_t rows = std::min(tokens_.size() - 1, static_cast<size_t>(length));
    Example example = plain_example(std::span(tokens_).first(rows + 1));
    for (size_t i = 0; i < rows; ++i) {
      if (!counts_[i + 1]) example.targets[i] = kNothing;
    }
    return example.counting() == 0 ? std::nullopt : std::optional(std::move(example));
  }

 private:
  const Tokenizer& tokenizer_;
  std::vector<Token> tokens_;
  std::vector<bool> counts_;
};

std::string text_member(const ordered_json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) fail("'{}' is no text", name);
  return found->get<std::string>();
}

// As templates have them: with arguments that are an object, where OpenAI's API has a string.
ordered_json read_tool_calls(const ordered_json& list) {
  if (!list.is_array()) fail("'tool_calls' is no list of calls");
  ordered_json calls = list;
  for (ordered_json& call : calls) {
    const auto function = call.is_object() ? call.find("function") : call.end();
    if (function == call.end() || !function->is_object()) fail("'tool_calls' is no list of calls");
    text_member(*function, "name");
    const auto arguments = function->find("arguments");
    if (arguments == function->end() || !arguments->is_string()) continue;
    ordered_json parsed =
        ordered_json::parse(arguments->get_ref<const std::string&>(), bound_depth, false);
    if (parsed.is_object()) *arguments = std::move(parsed);
  }
  return calls;
}

std::vector<Message> read_messages(const ordered_json& list) {
  if (!list.is_array() || list.empty()) fail("'messages' is no list of messages");
  std::vector<Message> messages;
  for (const ordered_json& entry : list) {
    if (!entry.is_object()) fail("'messages' is no list of messages");
    Message message{.role = text_member(entry, "role"), .content = nullptr};
    for (const auto& [key, value] : entry.items()) {
      if (key == "role" || value.is_null()) continue;
      if (key == "content") {
        if (!value.is_string() && !value.is_array()) fail("'content' is no text");
        message.content = value;
      } else {
        message.extra[key] = key == "tool_calls" ? read_tool_calls(value) : value;
      }
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

// As the template writes it, answer by answer. A template that writes an earlier turn otherwise
// once a later one follows (it leaves out what was thought) has its last answer learned alone.
void add_conversation(const ChatFormat& format, const std::vector<Message>& messages,
                      Builder& builder) {
  const auto written = [&](size_t count, bool prompts) {
    const std::vector<Message> some(messages.begin(),
                                    messages.begin() + static_cast<ptrdiff_t>(count));
    return render_chat(format, some, {.add_generation_prompt = prompts});
  };
  struct Turn {
    std::string prompt, whole;
  };
  std::vector<Turn> turns;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "assistant") continue;
    Turn turn{written(i, true), written(i + 1, false)};
    if (!turn.whole.starts_with(turn.prompt))
      fail("the chat template does not write the answer behind its prompt");
    if (!turns.empty() && !turn.prompt.starts_with(turns.back().whole)) turns.clear();
    turns.push_back(std::move(turn));
  }
  if (turns.empty()) fail("no message is the assistant's");
  size_t done = 0;
  for (const Turn& turn : turns) {
    builder.add(std::string_view(turn.prompt).substr(done), false);
    builder.add(std::string_view(turn.whole).substr(turn.prompt.size()), true);
    done = turn.whole.size();
  }
}

}  // namespace

void read_plain(const Tokenizer& tokenizer, std::string_view text, int length,
                std::vector<Example>& into) {
  std::vector<Token> tokens =
      tokenizer.encode(text, {.add_special = false, .parse_special = false});
  const bool has_bos = tokenizer.adds_bos() && tokenizer.bos().has_value();
  const size_t each = static_cast<size_t>(length) - (has_bos ? 1 : 0);
  for (size_t first = 0; first + 1 < tokens.size(); first += each) {
    std::vector<Token> part;
    if (has_bos) part.push_back(*tokenizer.bos());
    const size_t end = std::min(tokens.size(), first + each + 1);
    part.insert(part.end(), tokens.begin() + static_cast<ptrdiff_t>(first),
                tokens.begin() + static_cast<ptrdiff_t>(end));
    into.push_back(plain_example(part));
  }
}

int read_lines(const Tokenizer& tokenizer, const ChatFormat& format, std::string_view lines,
               int length, std::vector<Example>& into) {
  int left_out = 0;
  for (size_t number = 1; !lines.empty(); ++number) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(lines.size(), end + 1));
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    const ordered_json json = parse_line(line, number);
    try {
      Builder builder(tokenizer);
      if (!json.is_object()) fail("expected an object");
      if (json.contains("messages")) {
        add_conversation(format, read_messages(json["messages"]), builder);
      } else if (json.contains("prompt")) {
        builder.add(text_member(json, "prompt"), false);
        builder.add(text_member(json, "completion"), true);
        builder.add_end();
      } else if (json.contains("text")) {
        builder.add(text_member(json, "text"), true);
        builder.add_end();
      } else {
        fail("expected 'messages', 'prompt' and 'completion', or 'text'");
      }
      std::optional<Example> example = builder.finish(length);
      left_out += example ? 0 : 1;
      if (example) into.push_back(*std::move(example));
    } catch (const nlohmann::json::exception& error) {
      fail("line {}: {}", number, printable(error.what()));
    } catch (const Error& error) {
      fail("line {}: {}", number, error.what());
    }
  }
  return left_out;
}

Data hold_out(std::vector<Example> examples, double share) {
  Data data;
  for (size_t i = 0; i < examples.size(); ++i) {
    const double before = std::floor(static_cast<double>(i) * share),
                 behind = std::floor(static_cast<double>(i + 1) * share);
    (behind > before ? data.held_out : data.learned).push_back(std::move(examples[i]));
  }
  if (data.learned.empty()) fail("there is no example to learn from");
  return data;
}

}  // namespace tessera::train
