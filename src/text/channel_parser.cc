#include "text/channel_parser.h"

#include <algorithm>
#include <array>
#include <utility>

#include "text/marked_call.h"

namespace tessera {
namespace {

constexpr std::string_view kChannelOpen = "<|channel>", kChannelClose = "<channel|>";
constexpr std::string_view kCallOpen = "<|tool_call>", kCallClose = "<tool_call|>";
constexpr std::array kChannelMarks = {kChannelOpen, kChannelClose, kCallOpen};
constexpr std::string_view kThoughtName = "thought", kChannelLayout = " \t\r\n";

// The length of the ending of `text` that blanks and the beginning of a mark make.
size_t open_ending(std::string_view text) {
  size_t ending = 0;
  for (const std::string_view mark : kChannelMarks) {
    size_t begun = std::min(text.size(), mark.size() - 1);
    while (!text.ends_with(mark.substr(0, begun))) --begun;
    ending = std::max(ending, begun);
  }
  const std::string_view before = text.substr(0, text.size() - ending);
  return text.size() - (before.find_last_not_of(kChannelLayout) + 1);
}

}  // namespace

AnswerParts ChannelParser::push(std::string_view text, bool is_last, bool is_cut) {
  held_ += text;
  AnswerParts output;
  for (bool goes_on = true; goes_on;) {
    switch (state_) {
      case State::kContent:
      case State::kThought:
        goes_on = read_text(output, is_last);
        break;
      case State::kChannelName:
        goes_on = read_channel_name(is_last);
        break;
      case State::kCall:
        goes_on = read_call(output, is_last, is_cut);
        break;
    }
  }
  return output;
}

// Content or a thought, up to a mark.
bool ChannelParser::read_text(AnswerParts& output, bool is_last) {
  std::string& to = state_ == State::kThought ? output.reasoning : output.content;
  size_t found = held_.npos;
  std::string_view mark;
  for (const std::string_view one : kChannelMarks) {
    if (one == kCallOpen ? !options_.calls : !options_.thoughts) continue;
    const size_t place = held_.find(one);
    if (place >= found) continue;
    found = place;
    mark = one;
  }
  if (found == held_.npos) {
    const size_t ending = is_last && state_ == State::kContent ? 0 : open_ending(held_);
    to += held_.substr(0, held_.size() - ending);
    held_.erase(0, is_last ? held_.size() : held_.size() - ending);
    return false;
  }
  // Blanks before a mark are layout.
  to += held_.substr(0,
                     std::string_view(held_).substr(0, found).find_last_not_of(kChannelLayout) + 1);
  held_.erase(0, found + mark.size());
  state_ = mark == kChannelOpen ? State::kChannelName
           : mark == kCallOpen  ? State::kCall
                                : State::kContent;
  return true;
}

// "thought" and blanks, if that is the channel's name.
bool ChannelParser::read_channel_name(bool is_last) {
  const std::string_view name = std::string_view(held_).substr(0, kThoughtName.size());
  if (!kThoughtName.starts_with(name)) {
    state_ = State::kThought;
    return true;
  }
  if (name.size() < kThoughtName.size() && !is_last) return false;
  const size_t text = held_.find_first_not_of(kChannelLayout, name.size());
  if (text == held_.npos && !is_last) return false;
  held_.erase(0, text);
  state_ = State::kThought;
  return true;
}

bool ChannelParser::read_call(AnswerParts& output, bool is_last, bool is_cut) {
  size_t close = find_outside_texts(held_, kCallClose);
  if (close == held_.npos) {
    if (!is_last) return false;
    // Quotes mean nothing in what is no call.
    if (parse_marked_call(held_).kind == MarkedCall::Kind::kNone) close = held_.find(kCallClose);
  }
  const bool is_closed = close != held_.npos;
  finish_call(output, std::string_view(held_).substr(0, close), is_closed, is_cut);
  held_.erase(0, is_closed ? close + kCallClose.size() : close);
  state_ = State::kContent;
  return true;
}

void ChannelParser::finish_call(AnswerParts& output, std::string_view text, bool is_closed,
                                bool is_cut) const {
  MarkedCall call = parse_marked_call(text);
  const bool is_beginning = call.kind == MarkedCall::Kind::kBeginning && is_cut && !is_closed;
  if (call.kind == MarkedCall::Kind::kWhole || (is_beginning && call.has_name)) {
    output.calls.push_back({.name = std::move(call.name),
                            .arguments = std::move(call.arguments),
                            .is_whole = call.kind == MarkedCall::Kind::kWhole});
  } else if (!is_beginning) {
    output.content += kCallOpen;
    output.content += text;
    if (is_closed) output.content += kCallClose;
  }
}

}  // namespace tessera
