// Which tokens may come next, for the states of one grammar over one vocabulary.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "decode/grammar/automaton.h"
#include "decode/grammar/token_trie.h"

namespace tessera::grammar {

using Mask = std::vector<uint64_t>;  // bit t % 64 of word t / 64: token t

// Walks the trie of the vocabulary along the automaton. Two things keep that cheap. Masks are kept,
// the least recently used go first. And what a token does within one rule does not depend on who
// called it (as in XGrammar, Dong et al. 2024): for each node, the tokens that stay within its rule
// are found once; under a given stack only those that leave it are walked on.
//
// Not thread-safe.
class TokenMasks {
 public:
  // Keeps references.
  TokenMasks(Automaton& automaton, const TokenTrie& trie) : automaton_(automaton), trie_(trie) {}

  // Never empty: where nothing may come, the end tokens may.
  std::shared_ptr<const Mask> of(StackSet state);
  void clear();
  // Only the end tokens.
  std::shared_ptr<const Mask> ending() const;

 private:
  // A place in the vocabulary's trie and the state there.
  struct Place {
    uint32_t node;
    StackSet state;
  };
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

  Mask compute(StackSet state);
  void add_frame(const Frame& frame, Mask& mask);
  const Local& local(uint32_t node);
  void walk(std::vector<Place> places, Mask& mask, Local* local);
  Mask empty() const { return Mask((trie_.vocabulary_size() + 63) / 64); }
  size_t mask_bytes() const { return (trie_.vocabulary_size() + 7) / 8; }

  Automaton& automaton_;
  const TokenTrie& trie_;
  std::unordered_map<StackSet, Entry> masks_;
  std::list<StackSet> uses_;  // latest first
  std::unordered_map<uint32_t, Local> locals_;
};

}  // namespace tessera::grammar
