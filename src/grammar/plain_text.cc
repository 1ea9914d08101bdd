#include "grammar/plain_text.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "grammar/syntax.h"

namespace tessera::grammar {
namespace {

constexpr size_t kMaxStates = 16;  // that one text of so many characters may lead to

bool is_plain(unsigned char byte) {
  return byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7F;
}

void add(std::vector<uint8_t>& classes, uint8_t byte_class) {
  if (std::ranges::find(classes, byte_class) == classes.end()) classes.push_back(byte_class);
}

}  // namespace

uint32_t plain_characters(std::string_view text) {
  if (!std::ranges::all_of(text, [](char c) { return is_plain(static_cast<unsigned char>(c)); }) ||
      !is_valid_utf8(text))
    return 0;
  return static_cast<uint32_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

PlainText::PlainText(const Grammar& grammar) {
  const auto& classes = grammar.byte_classes();
  auto& ascii = forms_.emplace_back(1).front();
  for (int byte = 0; byte < 0x80; ++byte)
    if (is_plain(static_cast<unsigned char>(byte))) add(ascii, classes[byte]);
  for (const auto& sequence : utf8_sequences(0x80, kMaxCodePoint)) {
    auto& form = forms_.emplace_back();
    for (const auto [first, last] : sequence) {
      form.emplace_back();
      for (int byte = first; byte <= last; ++byte) add(form.back(), classes[byte]);
    }
  }
}

PlainText::Reach PlainText::reach(Automaton& automaton, WorkMeter& meter, StackSet state,
                                  uint32_t most) const {
  Reach reach;
  States states = {state}, before;
  while (reach.characters < most) {
    before = states;
    uint32_t depth = reach.depth;
    if (!read_character(automaton, meter, states, depth)) {
      reach.ends = reads_none(automaton, meter, states) && !meter.exhausted();
      return reach;
    }
    reach.depth = depth;
    ++reach.characters;
    if (states == before) reach.characters = most;
  }
  return reach;
}

bool PlainText::reads_none(Automaton& automaton, WorkMeter& meter, const States& states) const {
  return std::ranges::none_of(states, [&](StackSet state) {
    return automaton.is_outside(state) || std::ranges::any_of(forms_, [&](const auto& form) {
             return std::ranges::any_of(form.front(), [&](uint8_t byte_class) {
               return !meter.exhausted() && meter.next(state, byte_class) != Automaton::kDead;
             });
           });
  });
}

// From `states` to those after any one character; false if one of them does not read some.
bool PlainText::read_character(Automaton& automaton, WorkMeter& meter, States& states,
                               uint32_t& depth) const {
  States after;
  for (const auto& form : forms_) {
    States here = states, next;
    for (const auto& classes : form) {
      next.clear();
      for (const StackSet state : here) {
        if (automaton.is_outside(state)) return false;
        for (const uint8_t byte_class : classes) {
          const StackSet reached = meter.next(state, byte_class);
          if (reached == Automaton::kDead || meter.exhausted()) return false;
          if (!next.empty() && next.back() == reached) continue;
          next.push_back(reached);
          depth = std::max(depth, automaton.depth(reached));
        }
      }
      std::ranges::sort(next);
      next.erase(std::unique(next.begin(), next.end()), next.end());
      if (next.size() > kMaxStates) return false;
      std::swap(here, next);
    }
    after.insert(after.end(), here.begin(), here.end());
  }
  std::ranges::sort(after);
  after.erase(std::unique(after.begin(), after.end()), after.end());
  states = std::move(after);
  return states.size() <= kMaxStates;
}

}  // namespace tessera::grammar
