// The states of recurrent layers that one sequence holds: the one behind its computed tokens, from
// which it goes on, and those that others may go on from.
//
// A state is never changed: a step reads one and writes others. So sequences share states as they
// share blocks, a step that fails has lost nothing, and forking copies nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cache/block_pool.h"

namespace tessera {

class StateTable {
 public:
  // Enough for one sequence to go on: what it goes on from, and what a step writes.
  static constexpr int kLeast = 3;
  // As many as are of use where that many sequences run at once, each of which reads one and writes
  // another, with as many texts again that somebody may come back to.
  static constexpr int64_t useful(int sequences) { return kLeast + 4 * int64_t{sequences}; }

  explicit StateTable(BlockPool& pool) : pool_(&pool) {}
  ~StateTable() { clear(); }
  StateTable(StateTable&& other) noexcept;
  StateTable& operator=(StateTable&& other) noexcept;
  StateTable(const StateTable&) = delete;
  StateTable& operator=(const StateTable&) = delete;

  // Whether there are recurrent layers at all; if not, the rest is empty and asks for nothing.
  bool in_use() const { return pool_->has_states(); }
  // Behind the computed tokens; nothing behind none.
  std::optional<StateId> current() const { return at(tokens_); }
  std::optional<StateId> at(int tokens) const;

  struct Plan {
    int first = 0, end = 0;         // tokens that the step computes: of a tree, at most
    bool is_tree = false;           // how many of them will count is known only afterwards
    bool is_prompt = false;         // what is kept at the ends of blocks should last
    bool keeps_before_end = false;  // the state before the last token, too
  };
  // Takes the states that the step is to write. False if there are too few; then nothing is taken.
  bool plan(const Plan& plan);
  // Which rows of the step write which of them: of a chain before it runs, of a tree once it is
  // known how many nodes count.
  struct Save {
    int row;
    StateId state;
  };
  std::vector<Save> chain_saves() const;
  std::vector<Save> path_saves(int length);
  // Whether advance() may end there.
  bool can_advance(int tokens) const;
  // Tokens up to here are computed. States that were planned beyond are given back.
  void advance(int tokens);

  // A block with these tokens before its end has been published: it gets the state there.
  void publish(BlockId block, int tokens);
  // All blocks have been: only states that somebody may still want here are kept.
  void drop_published();

  void adopt(StateId state, int tokens);  // retained already
  StateTable fork(int tokens) const;
  void clear();

 private:
  struct Held {
    int tokens;
    StateId state;
  };
  struct Published {
    BlockId block;
    StateId state;
  };
  bool take(int tokens, bool required);

  BlockPool* pool_;
  int tokens_ = 0;
  int before_end_ = -1;  // a position whose state is kept until the end
  Plan plan_;
  std::vector<Held> planned_, held_;
  std::optional<Published> passing_;  // of an answer: only the last one is worth its memory
};

}  // namespace tessera
