#include "text/tool_calls.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "text/call_json.h"

namespace tessera {
namespace {

bool is_space(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// The length of the ending of `text` that is a beginning of the opening tag.
size_t tag_beginning(std::string_view text) {
  size_t tag = std::min(text.size(), kToolCallOpen.size() - 1);
  while (tag > 0 && text.substr(text.size() - tag) != kToolCallOpen.substr(0, tag)) --tag;
  return tag;
}

// The length of the ending of `text` that may be the beginning of a call: blanks and a part of the
// opening tag.
size_t held_ending(std::string_view text) {
  size_t start = text.size() - tag_beginning(text);
  while (start > 0 && is_space(text[start - 1])) --start;
  return text.size() - start;
}

// Where the closing tag of a call stands. One within a string of its JSON is part of an argument.
size_t find_close(std::string_view text) {
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (in_string && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      in_string = !in_string;
    } else if (!in_string && text.substr(i).starts_with(kToolCallClose)) {
      return i;
    }
  }
  return text.npos;
}

}  // namespace

ToolCallParser::Output ToolCallParser::push(std::string_view text) {
  if (channels_) return channels_->push(text, false, false);
  held_ += text;
  Output output;
  style_ == ToolStyle::kHermes ? push_hermes(output, End::kOpen) : push_llama3(output, End::kOpen);
  return output;
}

ToolCallParser::Output ToolCallParser::finish(bool is_cut) {
  if (channels_) return channels_->push("", true, is_cut);
  const End end = is_cut ? End::kCut : End::kWhole;
  Output output;
  style_ == ToolStyle::kHermes ? push_hermes(output, end) : push_llama3(output, end);
  return output;
}

bool ToolCallParser::is_named(std::string_view name) const {
  return names_.empty() || std::ranges::find(names_, name) != names_.end();
}

bool ToolCallParser::may_be_named(std::string_view beginning) const {
  return names_.empty() || std::ranges::any_of(names_, [&](const std::string& name) {
           return name.starts_with(beginning);
         });
}

void ToolCallParser::push_hermes(Output& output, End end) {
  for (;;) {
    if (!in_call_) {
      const size_t open = held_.find(kToolCallOpen);
      if (open == std::string::npos) {
        size_t ready = held_.size() - held_ending(held_);
        if (end == End::kWhole || (end == End::kCut && !is_tag_beginning(ready)))
          ready = held_.size();
        output.content += held_.substr(0, ready);
        in_text_ = in_text_ || ready > 0;
        held_.erase(0, end == End::kOpen ? ready : held_.size());
        return;
      }
      // Blanks before a call are layout, not content.
      size_t before = open;
      while (before > 0 && is_space(held_[before - 1])) --before;
      output.content += held_.substr(0, before);
      held_.erase(0, open + kToolCallOpen.size());
      in_call_ = true;
    }
    size_t close = find_close(held_);
    if (close == std::string::npos) {
      if (end == End::kOpen) return;
      // Quotes mean nothing in what is no JSON; in a call that is cut they do.
      if (end != End::kCut || !parse_cut_call(held_)) close = held_.find(kToolCallClose);
    }
    const bool is_closed = close != std::string::npos;
    finish_hermes_call(output, std::string_view(held_).substr(0, close), end, is_closed);
    held_.erase(0, is_closed ? close + kToolCallClose.size() : close);
    in_call_ = in_text_ = false;
  }
}

// Of a text that is cut, of which `ready` bytes are content: whether the rest is a tag's beginning.
bool ToolCallParser::is_tag_beginning(size_t ready) const {
  constexpr size_t kSure = std::string_view("<tool_").size();  // which nobody else writes
  const size_t tag = tag_beginning(held_);
  const std::string_view blanks = std::string_view(held_).substr(ready, held_.size() - tag - ready);
  const bool begins_line = (!in_text_ && ready == 0) || blanks.find('\n') != blanks.npos;
  return tag >= kSure || (tag > 0 && begins_line);
}

void ToolCallParser::finish_hermes_call(Output& output, std::string_view text, End end,
                                        bool is_closed) const {
  if (auto call = parse_call(text)) {
    output.calls.push_back(std::move(*call));
    return;
  }
  if (end == End::kCut && !is_closed) {
    // A part of the closing tag is markup as well.
    if (auto call = parse_call(trimmed(text.substr(0, text.rfind('<'))))) {
      output.calls.push_back(std::move(*call));
      return;
    }
    if (auto cut = parse_cut_call(text)) {
      if (cut->has_name)
        output.calls.push_back({.name = std::move(cut->name),
                                .arguments = std::move(cut->arguments),
                                .is_whole = false});
      return;
    }
  }
  output.content += kToolCallOpen;
  output.content += text;
  if (is_closed) output.content += kToolCallClose;
}

void ToolCallParser::push_llama3(Output& output, End end) {
  const std::string_view text = trimmed(held_);
  if (!plain_ && !text.empty() && text.front() != '{') plain_ = true;
  if (!plain_ && end == End::kOpen) return;
  if (plain_ || !read_llama3(output, text, end == End::kCut)) output.content += held_;
  held_.clear();
}

// False, and nothing read, if it is not all calls.
bool ToolCallParser::read_llama3(Output& output, std::string_view text, bool is_cut) const {
  std::vector<ToolCall> calls;
  while (!text.empty()) {
    const size_t length = json_value_length(text);
    if (length == text.npos) {
      const auto cut = is_cut ? parse_cut_call(text) : std::nullopt;
      if (!cut || !(cut->has_name ? is_named(cut->name) : may_be_named(cut->name))) return false;
      if (cut->has_name)
        calls.push_back({.name = cut->name, .arguments = cut->arguments, .is_whole = false});
      break;
    }
    auto call = parse_call(text.substr(0, length));
    if (!call || !is_named(call->name)) return false;
    calls.push_back(std::move(*call));
    text.remove_prefix(length);
    while (!text.empty() && (is_space(text.front()) || text.front() == ';')) text.remove_prefix(1);
  }
  output.calls = std::move(calls);
  return true;
}

}  // namespace tessera
