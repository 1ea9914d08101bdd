// Sources of guesses: who can tell, for little, what may come next in a text.
//
// Drafters that need no model are made of them (decode/drafters/guessing_drafter.h): guesses of
// all sources grow one tree, and how often each kind of guess is right is learned on the way.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/function_ref.h"
#include "base/host_tensor.h"
#include "base/token.h"
#include "grammar/constraint.h"

namespace tessera {

struct Guess {
  Token token;
  // Guesses of a bucket are right about equally often. Where several tokens share one, it is the
  // chance that one of them comes, and `share` this token's part of it.
  int bucket;
  float share = 1;
};

// What one sequence asks. It follows the sequence, and can be asked at places that lie ahead of it.
class GuessSource {
 public:
  // What a source knows of where it is asked: what that is, it says itself.
  struct Place {
    int32_t at = 0, length = 0;
  };

  virtual ~GuessSource() = default;

  // How often guesses of each bucket are right where nothing was learned yet.
  virtual std::span<const float> chances() const = 0;
  // The end of the sequence, and the place one token after another.
  virtual Place here() const = 0;
  virtual Place after(Place place, Token token) const = 0;
  // What may come at a place; appended, in no order.
  virtual void guess(Place place, std::vector<Guess>& to) const = 0;

  // The sequence goes on with a token, of its prompt or of its answer.
  virtual void read(Token token, bool of_answer) = 0;
  // Before it is asked. `ahead`: the constraint of the answer so far, to be asked what comes next;
  // null if there is none. Whoever does not need it spares a copy.
  virtual void look(FunctionRef<Constraint*()> /*ahead*/) {}
  // Of the model's logits, those after `tokens`, on which the answer went on.
  virtual bool wants_logits() const { return false; }
  virtual void learn(std::span<const Token> /*tokens*/, std::span<const float> /*logits*/) {}
  // The sequence has ended with this answer.
  virtual void end(std::span<const Token> /*answer*/) {}
};

}  // namespace tessera
