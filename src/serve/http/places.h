// Who may be served at the same time: so many connections, shared between the clients.
//
// A client may hold as many places as three quarters of all while nobody else wants any, and less
// as fewer stay free: at most three times what is left (the dynamic thresholds of Choudhury and
// Hahne, 1998, for the buffers of a switch). So there is room for who comes next, without a fixed
// share that one client alone could not use up.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

namespace tessera::serve {

class Places {
 public:
  // A place is given back when this ends.
  class Place {
   public:
    Place() = default;  // none
    Place(Places& places, std::string client) : places_(&places), client_(std::move(client)) {}
    Place(Place&& other) noexcept
        : places_(std::exchange(other.places_, nullptr)), client_(std::move(other.client_)) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(places_, other.places_);
      std::swap(client_, other.client_);
      return *this;
    }
    ~Place() {
      if (places_ != nullptr) places_->leave(client_);
    }
    explicit operator bool() const { return places_ != nullptr; }

   private:
    Places* places_ = nullptr;
    std::string client_;
  };

  // `most_each`: places of one client, however many are free.
  Places(int most, int most_each) : most_(most), most_each_(most_each) {}

  // None if all are taken, or this client has its share. `client`: as client_of() tells them apart.
  Place enter(const std::string& client);

  int taken() const { return taken_; }
  // Three quarters are taken: who does nothing should go.
  bool are_scarce() const { return int64_t{4} * taken_ >= int64_t{3} * most_; }

 private:
  void leave(const std::string& client);

  const int most_, most_each_;
  std::mutex mutex_;
  std::atomic<int> taken_{0};
  std::unordered_map<std::string, int> held_;  // by each client
};

}  // namespace tessera::serve
