// A constraint that takes as long as a test wants it to.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "grammar/constraint.h"

namespace tessera::test {

// What waits at it goes on when it is opened.
class Gate {
 public:
  void open() { set_open(true); }
  void close() { set_open(false); }
  void pass() {
    std::unique_lock lock(mutex_);
    ++passes_[std::this_thread::get_id()];
    changed_.wait(lock, [&] { return is_open_; });
  }
  // How often the calling thread came here.
  int own_passes() {
    const std::lock_guard lock(mutex_);
    return passes_[std::this_thread::get_id()];
  }

 private:
  void set_open(bool is_open) {
    const std::lock_guard lock(mutex_);
    is_open_ = is_open;
    changed_.notify_all();
  }

  std::map<std::thread::id, int> passes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_open_ = false;
};

// Allows two of three tokens, which depends on how many there were. At every `every`th token that
// takes longer than any deadline, and until the gate is open.
class SlowConstraint final : public ConstraintSource {
 public:
  SlowConstraint(std::shared_ptr<Gate> gate, int every) : gate_(std::move(gate)), every_(every) {}

  std::unique_ptr<Constraint> start() const override {
    return std::make_unique<Slow>(gate_, every_);
  }

 private:
  class Slow final : public Constraint {
   public:
    Slow(std::shared_ptr<Gate> gate, int every) : gate_(std::move(gate)), every_(every) {}
    bool prepare(Deadline deadline) override {
      if (is_known_ || count_ % every_ != 0) return true;
      if (deadline.exists()) return false;
      gate_->pass();
      return is_known_ = true;
    }
    std::span<const uint64_t> allowed() override {
      prepare({});
      mask_.assign(64, 0);
      for (size_t token = 0; token < 64 * mask_.size(); ++token) {
        if (token % 3 != static_cast<size_t>(count_ % 3)) mask_[token / 64] |= 1ull << token % 64;
      }
      return mask_;
    }
    bool complete() override {
      prepare({});
      return true;
    }
    void accept(Token) override {
      ++count_;
      is_known_ = false;
    }

   private:
    std::shared_ptr<Gate> gate_;
    int every_, count_ = 0;
    bool is_known_ = false;
    std::vector<uint64_t> mask_;
  };

  std::shared_ptr<Gate> gate_;
  int every_;
};

}  // namespace tessera::test
