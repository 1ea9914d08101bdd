// Where connections wait until their request's head has come: all of them on one thread, so that a
// client that says nothing, or says it slowly, takes no place from one that has something to ask.
#pragma once

#include <poll.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "serve/http/api_error.h"
#include "serve/http/framing.h"
#include "serve/http/limits.h"
#include "serve/http/socket.h"

namespace tessera::serve {

class Lobby {
 public:
  // A connection and what it has sent so far.
  struct Guest {
    Socket socket;
    std::string received;
  };
  struct House {
    // Called on the lobby's thread when the head is whole: takes the guest, or says why not.
    std::function<std::optional<ApiError>(Guest&)> admit;
    // Called for each who is turned away, with the status that it gets.
    std::function<void(int)> turned_away;
  };

  // `listener` and `limits` must outlive it.
  Lobby(const Socket& listener, const HttpLimits& limits, House house);

  // Until end(), on the caller's thread.
  void run();
  // May be called from any thread.
  void end();

 private:
  using Clock = std::chrono::steady_clock;
  struct Waiting : Guest {
    Waiting(Socket from, const HttpLimits& limits)
        : Guest{std::move(from), {}},
          scanner(limits.header_bytes),
          deadline(Clock::now() + limits.idle_time) {}

    HeadScanner scanner;
    Clock::time_point deadline;
    bool leaves = false;  // has its answer; what it still sends is read away
  };
  using Guests = std::list<Waiting>;

  void round();
  void accept_some();
  void make_room();
  // False when the guest is to be forgotten: it is gone, admitted or out of time.
  bool attend(Waiting& guest, bool readable);
  bool listen_to(Waiting& guest);
  void turn_away(Waiting& guest, const ApiError& error);

  const Socket& listener_;
  const HttpLimits& limits_;
  House house_;
  std::atomic<bool> ended_{false};
  Guests guests_;  // the oldest first
  std::vector<pollfd> polled_;
};

}  // namespace tessera::serve
