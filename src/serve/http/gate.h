// Who may make a request ready: read its JSON, fill its template, cut its text into tokens. That
// takes time and memory before anybody can tell whether it will be answered, so only a few do it at
// once, clients by turns.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace tessera::serve {

class Gate {
 public:
  // What one who has come in holds, until it ends.
  class Pass {
   public:
    Pass() = default;  // none
    Pass(Gate& gate, std::string client) : gate_(&gate), client_(std::move(client)) {}
    Pass(Pass&& other) noexcept
        : gate_(std::exchange(other.gate_, nullptr)), client_(std::move(other.client_)) {}
    Pass& operator=(Pass&& other) noexcept {
      std::swap(gate_, other.gate_);
      std::swap(client_, other.client_);
      return *this;
    }
    ~Pass() {
      if (gate_ != nullptr) gate_->leave(client_);
    }

   private:
    Gate* gate_ = nullptr;
    std::string client_;
  };

  // `most` at once; where that is more than one, no client has all of them.
  explicit Gate(int most) : most_(most) {}

  // Waits for its turn: next is the client who was let in longest ago, of one client who came
  // first. Throws client_is_gone() if is_gone() says so meanwhile.
  Pass enter(const std::string& client, const std::function<bool()>& is_gone);

 private:
  struct Client {
    int within = 0, waiting = 0;
    uint64_t last_turn = 0;
  };
  using Waiting = std::list<std::string>;  // the client of each, in the order of coming

  bool is_next(Waiting::const_iterator guest) const;
  void forget(const std::string& client);
  void leave(const std::string& client);

  const int most_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Client> clients_;  // those who are here
  Waiting waiting_;
  int within_ = 0;
  uint64_t turns_ = 0;
};

}  // namespace tessera::serve
