// What may come next in an answer that must keep to a form. The sampler masks the logits with it
// before it chooses, so it composes with every drafter: a drafted token that the constraint forbids
// is simply not the token that the sampler gives.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/deadline.h"
#include "base/token.h"

namespace tessera {

inline bool is_allowed(std::span<const uint64_t> allowed, Token token) {
  const auto word = static_cast<size_t>(token) / 64;
  return token >= 0 && word < allowed.size() && (allowed[word] >> (token % 64) & 1) != 0;
}

// The constraint of one answer, as far as the answer has come.
class Constraint {
 public:
  virtual ~Constraint() = default;
  // Finds out what allowed() and complete() tell, so that they take no time until the next
  // accept(). False if that was not done by the deadline: then another call goes on, maybe of
  // another thread, or allowed() does it, however long it takes. Changes nothing of what they tell.
  virtual bool prepare(Deadline) { return true; }
  // Whether each token may come next: bit t % 64 of word t / 64. Tokens beyond the last word are
  // forbidden. At least one bit is set: where nothing else may come, the end tokens may. The span
  // holds until the next call of accept().
  virtual std::span<const uint64_t> allowed() = 0;
  // Whether the answer may end here. False at a dead end, where an end token is all that is left:
  // no token of the vocabulary goes on, or the grammar is too ambiguous to be followed.
  virtual bool complete() = 0;
  // Whether one token may come next: without finding out about all others, if that is possible.
  // True as well where it is not known by the deadline.
  virtual bool may_allow(Token token, Deadline deadline) {
    return !prepare(deadline) || is_allowed(allowed(), token);
  }
  // Tokens of the text that has to come next, whatever is chosen, as the tokenizer cuts it; a model
  // may cut it otherwise. Empty where there is a choice, or if that is not known by the deadline.
  virtual std::vector<Token> forced(Deadline) { return {}; }
  // The token that came.
  virtual void accept(Token token) = 0;
  // Another answer that has come as far. nullptr if it has to be read anew from its start.
  virtual std::unique_ptr<Constraint> copy() const { return nullptr; }
};

// Starts constraints: what a request carries and any number of sequences may share, from any
// thread.
class ConstraintSource {
 public:
  virtual ~ConstraintSource() = default;
  virtual std::unique_ptr<Constraint> start() const = 0;
};

}  // namespace tessera
