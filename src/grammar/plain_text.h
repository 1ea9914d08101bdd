// Plain text, the bulk of any vocabulary: whole characters that stand for themselves within a JSON
// string. A state within a string reads them all alike, so that whole groups of tokens need not be
// walked one by one.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/work_meter.h"

namespace tessera::grammar {

// The characters of `text` if it is plain: valid UTF-8 without controls, '"' and '\'; otherwise 0.
uint32_t plain_characters(std::string_view text);

// Tells how much plain text the states of one grammar read.
class PlainText {
 public:
  explicit PlainText(const Grammar& grammar);

  struct Reach {
    uint32_t characters = 0;
    bool ends = false;   // after these no plain character at all is read
    uint32_t depth = 0;  // of the states on the way, at most
  };
  // How many plain characters, whichever they are, can be read from `state` without leaving its
  // rule before the last: `most` at most, and maybe less than true for a state of many ways or
  // where the work grows too large.
  Reach reach(Automaton& automaton, WorkMeter& meter, StackSet state, uint32_t most) const;

 private:
  using States = std::vector<StackSet>;
  bool reads_none(Automaton& automaton, WorkMeter& meter, const States& states) const;
  bool read_character(Automaton& automaton, WorkMeter& meter, States& states,
                      uint32_t& depth) const;

  // The classes of each byte of the plain characters' forms in UTF-8.
  std::vector<std::vector<std::vector<uint8_t>>> forms_;
};

}  // namespace tessera::grammar
