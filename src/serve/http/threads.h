// Threads made as connections come, and ended as they go: each keeps memory, its stack and its part
// of the heap.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>

#include "base/places.h"
#include "serve/http/socket.h"

namespace tessera::serve {

// A connection that has a place to be served at, and what it has sent so far.
struct Visit {
  Socket socket;
  std::string received;
  Places::Place place;
  bool is_reserved = false;  // the place, so that it is for one request only
};

// From now on the calling thread leaves the cores to those that compute tokens, as long as these
// want them. It cannot be undone: a thread of ConnectionThreads ends with the visit.
void step_back();

class ConnectionThreads {
 public:
  // `serve` is called on a thread for each visit, and may not throw.
  ConnectionThreads(size_t most, std::function<void(Visit)> serve)
      : most_(most), serve_(std::move(serve)) {}

  void enqueue(Visit visit);
  // Returns when every visit is over. None may come any more.
  void shutdown();

 private:
  using Threads = std::list<std::thread>;
  using Visits = std::list<Visit>;

  static void join(Threads& threads);
  void add_thread();
  void work(Threads::iterator self);

  const size_t most_;
  const std::function<void(Visit)> serve_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Visits waiting_;
  Threads threads_, ended_;
  size_t idle_ = 0;
  bool stopping_ = false;
};

}  // namespace tessera::serve
