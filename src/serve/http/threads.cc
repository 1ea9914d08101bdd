#include "serve/http/threads.h"

#include <sys/resource.h>
#include <unistd.h>

#include <system_error>
#include <utility>

namespace tessera::serve {
namespace {

constexpr size_t kMostIdle = 16;
constexpr int kNiceness = 10;  // the system gives others some nine times as much of a core

thread_local bool has_stepped_back = false;

}  // namespace

void step_back() {
  has_stepped_back = true;
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNiceness);
}

// Memory is taken and given back outside the lock: all connections wait for it, and threads that
// compile grammars may keep the heap busy.
void ConnectionThreads::enqueue(Visit visit) {
  Visits added;
  added.push_back(std::move(visit));
  const std::lock_guard lock(mutex_);
  waiting_.splice(waiting_.end(), added);
  join(ended_);
  if (waiting_.size() > idle_ && threads_.size() < most_) add_thread();
  changed_.notify_one();
}

void ConnectionThreads::shutdown() {
  Threads all;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
    all.swap(threads_);
  }
  join(all);
  join(ended_);
}

void ConnectionThreads::join(Threads& threads) {
  for (std::thread& thread : threads) thread.join();
  threads.clear();
}

void ConnectionThreads::add_thread() {
  const auto self = threads_.emplace(threads_.end());
  try {
    *self = std::thread([this, self] { work(self); });
  } catch (const std::system_error&) {  // the system has no more; those that there are go on
    threads_.erase(self);
    if (threads_.empty()) throw;
  }
}

void ConnectionThreads::work(Threads::iterator self) {
  std::unique_lock lock(mutex_);
  while (idle_ < kMostIdle || !waiting_.empty()) {
    ++idle_;
    changed_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
    --idle_;
    if (waiting_.empty()) return;
    Visits visit;
    visit.splice(visit.end(), waiting_, waiting_.begin());
    lock.unlock();
    serve_(std::move(visit.front()));
    visit.clear();
    lock.lock();
    if (has_stepped_back && waiting_.size() <= idle_) break;
  }
  if (!stopping_) ended_.splice(ended_.end(), threads_, self);
}

}  // namespace tessera::serve
