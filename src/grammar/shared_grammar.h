// One grammar over one vocabulary, shared by all answers that it holds to itself, and the grammars
// that are kept for later requests.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/token.h"
#include "grammar/automaton.h"
#include "grammar/constraint.h"
#include "grammar/grammar.h"
#include "grammar/token_mask.h"
#include "grammar/token_trie.h"

namespace tessera::grammar {

class GrammarCache;

// Thread-safe: sampling may be spread over threads.
//
// Whatever the grammar, memory and the time of one call are bounded: masks by TokenMasks, the
// states here. An answer whose text alone is too costly to follow ends, as at a dead end; so does
// one for which an allocation fails. Others go on.
class SharedGrammar final : public ConstraintSource,
                            public std::enable_shared_from_this<SharedGrammar> {
 public:
  SharedGrammar(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie,
                std::weak_ptr<GrammarCache> cache);

  // Where an answer stands. Its state may be forgotten to free memory: its text never is.
  struct Position {
    std::string text;
    uint64_t epoch = 0;  // in which `state` was found; 0: none yet
    size_t read = 0;     // bytes of the text that led to `state`
    StackSet state = Automaton::kDead;
    size_t work = 0;  // that the text has taken
    bool ended =
        false;  // an end token came, or one that was not allowed, or the text is too costly
  };

  std::unique_ptr<Constraint> start() const override;

  // What may come behind a text.
  struct Next {
    std::shared_ptr<const Mask> mask;
    bool complete = false;
  };
  // Nothing if it is not found by the deadline. Those who have one are kept from nothing that takes
  // long: not by others who walk along this grammar, nor by freeing memory.
  std::optional<Next> next(Position& position, Deadline deadline);
  std::shared_ptr<const Mask> allowed(Position& position) { return next(position, {})->mask; }
  bool complete(Position& position);  // without a mask
  // False if `token` may not come behind; true if it may, or if that is not found in time.
  bool may_allow(Position& position, Token token, Deadline deadline);
  // The text that has to come behind; empty if there is none, or if it is not found in time.
  std::string forced_text(Position& position, Deadline deadline);
  std::vector<Token> cut(std::string_view text) const { return trie_->cut(text); }
  // Takes no time: the token is read when it is asked what comes next.
  void accept(Position& position, Token token);

  size_t bytes() const { return bytes_; }  // of memory, from any thread
  uint64_t work() const { return automaton_.total_work(); }

 private:
  std::unique_lock<std::timed_mutex> lock(Deadline deadline);
  template <typename Work>
  bool guarded(Position& position, Deadline deadline, Work&& work);
  std::optional<uint8_t> only_byte(StackSet state, Deadline deadline);
  void find_state(Position& position, Deadline deadline);
  void read(Position& position, Deadline deadline);
  bool is_untidy() const;
  void tidy();
  void forget();
  void note_bytes();

  const std::shared_ptr<const Grammar> grammar_;
  const std::shared_ptr<const TokenTrie> trie_;
  const std::weak_ptr<GrammarCache> cache_;
  std::timed_mutex mutex_;
  Automaton automaton_{*grammar_};
  TokenMasks masks_{automaton_, *trie_};
  const std::shared_ptr<const Mask> ending_ = masks_.ending();
  bool usable_ = true;  // false once an allocation has failed in the middle of something
  uint64_t epoch_ = 1;
  size_t kept_bytes_ = 0;  // of the automaton, for texts that were read again
  std::atomic<size_t> bytes_ = 0;
  size_t reported_bytes_ = 0;
};

// The grammars of the latest requests, at most kMaxBytes together; but always the latest one.
// Thread-safe.
class GrammarCache {
 public:
  static constexpr size_t kMaxGrammars = 16;
  static constexpr size_t kMaxBytes = size_t{128} << 20;

  std::shared_ptr<SharedGrammar> find(const std::string& key);  // nullptr if it is not kept
  void keep(std::string key, std::shared_ptr<SharedGrammar> grammar);
  void trim();  // after one has grown
  size_t bytes() const;

 private:
  using Entries = std::list<std::pair<std::string, std::shared_ptr<SharedGrammar>>>;

  mutable std::mutex mutex_;
  Entries kept_;  // latest first
};

}  // namespace tessera::grammar
