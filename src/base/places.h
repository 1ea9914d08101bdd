// What there is so much of for all, shared between the clients: connections, places in the queue,
// bytes of requests.
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

namespace tessera {

class Places {
 public:
  // A place is given back when this ends.
  class Place {
   public:
    Place() = default;  // none
    Place(Places& places, std::string client, int64_t count)
        : places_(&places), client_(std::move(client)), count_(count) {}
    Place(Place&& other) noexcept
        : places_(std::exchange(other.places_, nullptr)),
          client_(std::move(other.client_)),
          count_(other.count_) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(places_, other.places_);
      std::swap(client_, other.client_);
      std::swap(count_, other.count_);
      return *this;
    }
    ~Place() {
      if (places_ != nullptr) places_->leave(client_, count_);
    }
    explicit operator bool() const { return places_ != nullptr; }
    int64_t count() const { return places_ != nullptr ? count_ : 0; }

   private:
    Places* places_ = nullptr;
    std::string client_;
    int64_t count_ = 0;
  };

  // `most_each`: places of one client, however many are free.
  Places(int64_t most, int64_t most_each) : most_(most), most_each_(most_each) {}

  // So many places at once; none if that is more than this client's share. `client`: any name that
  // tells clients apart.
  Place enter(const std::string& client, int64_t count = 1);

  int64_t taken() const { return taken_; }
  // Three quarters are taken: who does nothing should go.
  bool are_scarce() const { return 4 * taken_ >= 3 * most_; }

 private:
  void leave(const std::string& client, int64_t count);

  const int64_t most_, most_each_;
  std::mutex mutex_;
  std::atomic<int64_t> taken_{0};
  std::unordered_map<std::string, int64_t> held_;  // by each client
};

}  // namespace tessera
