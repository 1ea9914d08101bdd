// In which order requests are served, so that no client waits for another's many.
//
// Start-time fair queueing (Goyal, Vin and Cheng 1996), in tokens: a request's turn comes when its
// client would have got so far if all that it asked before were done, but not before now:
//
//   turn(r) = max(now, end of its client's last request),   end(r) = turn(r) + cost(r)
//
// `cost` is the prompt and a usual answer at first, and what was really computed once the request
// has ended. An answer that grows longer is charged as it grows, and all that its client asks comes
// so much later: whoever has had less need not wait for its end. What a client asks keeps its
// order. `now` is the turn of whoever is first in the
// order; it never goes back, and each arrival moves it by one. So a client that comes anew is
// before all that others have piled up; and as `now` moves on whatever happens, while turns stay, a
// request is overtaken by a bounded number of others: nobody waits for ever.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "engine/sequence.h"

namespace tessera {

class FairOrder {
 public:
  // Gives `sequence` its turn. `first`: whoever is first in the order now; null if nobody is there.
  void enter(Sequence& sequence, const Sequence* first);
  // `sequence` goes on. By how much everything that its client asks, itself included, comes later
  // from now on; mostly 0.
  int64_t charge(Sequence& sequence);
  // `sequence` has ended: now it is known what it cost.
  void leave(const Sequence& sequence);

  size_t clients() const { return clients_.size(); }  // that are remembered

 private:
  // Of any request beside its tokens, so that many small ones cost something, too.
  static constexpr int64_t kLeastCost = 64;
  static constexpr int kUsualAnswer = 256;  // tokens, unless fewer are asked for
  // A longer answer is charged for so much of its text at once, for to give way and come back means
  // to compute all of it again.
  static constexpr int kPartCharged = 8;

  struct Client {
    int64_t end = 0, last_turn = 0;  // of its last request
  };
  static int64_t expected_cost(const Sequence& sequence);
  static int64_t real_cost(const Sequence& sequence);

  int64_t now_ = 0;
  std::unordered_map<std::string, Client> clients_;
};

}  // namespace tessera
