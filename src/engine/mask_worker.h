// Finds out what constraints allow, beside the steps, where that takes too long for a step.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "grammar/constraint.h"

namespace tessera {

// A constraint that is being prepared, by a thread that nobody else may disturb at it.
class MaskWork {
 public:
  explicit MaskWork(std::shared_ptr<Constraint> constraint) : constraint_(std::move(constraint)) {}
  bool is_done() const { return done_; }

 private:
  friend class MaskWorker;

  std::shared_ptr<Constraint> constraint_;
  std::atomic<bool> done_ = false;
};

// One thread, of less weight than those of the steps. Clients take turns, so that whoever asks for
// little does not wait for all that another has asked for. It starts when it is first needed.
class MaskWorker {
 public:
  ~MaskWorker();  // what waits is not done

  std::shared_ptr<const MaskWork> add(const std::string& client,
                                      std::shared_ptr<Constraint> constraint);
  // Returns when something was done since the last call, or soon; at once if nothing is there to
  // do.
  void wait();

 private:
  struct Client {
    std::string name;
    std::deque<std::weak_ptr<MaskWork>> works;
  };
  void run();
  std::shared_ptr<MaskWork> take();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Client> clients_;  // who have works that wait, by turns
  bool busy_ = false, stopping_ = false;
  uint64_t done_ = 0, seen_ = 0;  // works; those before the last wait()
  std::thread thread_;
};

}  // namespace tessera
