// Finds, at any time, the longest end of one text that occurs in another, and what followed it
// there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/token.h"

namespace tessera {

// The suffix automaton of a growing text (Blumer et al. 1985; for drafting: SAM decoding, Hu et al.
// 2024, arXiv 2411.10666). A state stands for all parts of the text that end at the same places. A
// token takes amortized constant time to append, constant time to match, and about 150 bytes.
class SuffixAutomaton {
 public:
  // The longest end of what was read that occurs in the text. Stays valid while the text grows.
  struct Match {
    int32_t state = 0;
    int32_t length = 0;  // tokens; 0: nothing occurs
  };
  struct Successor {
    Token token;
    int32_t count;   // how often it followed, of late
    int32_t latest;  // where it did so last: greater is later
    Match match;     // with the token read
  };

  SuffixAutomaton() : states_(1) {}

  void append(Token token);
  size_t size() const { return size_; }  // tokens

  // To match a text with its own past, read each token before it is appended.
  Match read(Match match, Token token) const;
  // What follows the match in the text; in no order. Nothing if the match is empty.
  void successors(Match match, std::vector<Successor>& to) const;

 private:
  struct State {
    int32_t length = 0;  // of its longest part
    int32_t link = -1;   // the state of the longest end of its parts that ends elsewhere too
    int32_t edge = -1;   // its first, in edges_
    int32_t count = 0;   // occurrences
    int32_t latest = 0;  // where the last of them ends
  };
  struct Edge {
    Token token;
    int32_t target;
    int32_t next;  // of the same state
  };

  static uint64_t key(int32_t state, Token token) {
    return static_cast<uint64_t>(state) << 32 | static_cast<uint32_t>(token);
  }
  Edge* find(int32_t state, Token token);
  const Edge* find(int32_t state, Token token) const;
  void connect(int32_t state, Token token, int32_t target);
  int32_t split(int32_t state, Token token, int32_t target);
  int32_t add_state(int32_t length, int32_t count, int32_t latest);
  // A state may have been split since the match was made.
  int32_t state_of(Match match) const;

  std::vector<State> states_;
  std::vector<Edge> edges_;
  std::unordered_map<uint64_t, int32_t> edge_of_;  // (state, token): an index of edges_
  int32_t last_ = 0;                               // the state of the whole text
  size_t size_ = 0;
};

}  // namespace tessera
