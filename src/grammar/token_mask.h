// Which tokens may come next, for the states of one grammar over one vocabulary.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/plain_text.h"
#include "grammar/token_trie.h"
#include "grammar/work_meter.h"

namespace tessera::grammar {

// Walks the tries of the vocabulary along the automaton. Three things keep that cheap. Masks are
// kept, the least recently used go first. What a token does within one rule does not depend on who
// called it (as in XGrammar, Dong et al. 2024): for each node, the tokens that stay within its rule
// are found once; under a given stack only those that leave it are walked on. And where any plain
// text is allowed, its tokens need no walk.
//
// Not thread-safe.
class TokenMasks {
 public:
  // Keeps references.
  TokenMasks(Automaton& automaton, const TokenTrie& trie)
      : automaton_(automaton), trie_(trie), plain_(automaton.grammar()) {}

  // Never empty: where nothing may come, the end tokens may. Where a walk grows too costly, tokens
  // of more than one byte are left out. Throws OutOfTime (work_meter.h).
  std::shared_ptr<const Mask> of(StackSet state, Deadline deadline = {});
  std::shared_ptr<const Mask> known(StackSet state);  // null: it is still to be found
  void clear();
  size_t bytes() const;  // of memory
  // Only the end tokens.
  std::shared_ptr<const Mask> ending() const;

 private:
  // What is known of a node of the grammar under any stack.
  struct Local {
    Mask mask;                         // of the tokens that its rule begins with, or is
    std::vector<uint32_t> departures;  // nodes of the trie where the rule is left
    uint32_t depth = 0;                // of calls, at most
  };
  struct Entry {
    std::shared_ptr<const Mask> mask;
    std::list<StackSet>::iterator use;
  };

  Mask compute(StackSet state, Deadline deadline);
  std::vector<bool> add_plain(const PlainText::Reach& reach, Mask& mask);
  void add_frame(WorkMeter& meter, const Frame& frame, const std::vector<bool>& open, Mask& mask);
  const Local& local(uint32_t node, Deadline deadline);
  void walk_all(WorkMeter& meter, StackSet state, Mask& mask, Local* local);
  void walk(WorkMeter& meter, std::span<const uint32_t> nodes, StackSet state, Mask& mask,
            Local* local);
  Mask empty() const { return Mask((trie_.vocabulary_size() + 63) / 64); }
  size_t mask_bytes() const { return (trie_.vocabulary_size() + 7) / 8; }

  Automaton& automaton_;
  const TokenTrie& trie_;
  const PlainText plain_;
  std::unordered_map<StackSet, Entry> masks_;
  std::list<StackSet> uses_;  // latest first
  std::unordered_map<uint32_t, Local> locals_;
  size_t local_bytes_ = 0;

  // Of the walk at work: what holds at the nodes above, by depth.
  struct Level {
    StackSet state;
    bool departs;  // the rule may be left here
  };
  std::vector<Level> levels_;
};

}  // namespace tessera::grammar
