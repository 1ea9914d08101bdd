#include "engine/mask_worker.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>

namespace tessera {
namespace {

// Steps behind the others: where all cores are busy with steps, it has a fifth of one.
constexpr int kNice = 7;
// The one who waits may have other things to do by then.
constexpr auto kLongestWait = std::chrono::milliseconds(10);

}  // namespace

MaskWorker::~MaskWorker() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<const MaskWork> MaskWorker::add(const std::string& client,
                                                std::shared_ptr<Constraint> constraint) {
  auto work = std::make_shared<MaskWork>(std::move(constraint));
  const std::lock_guard lock(mutex_);
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  auto known = std::ranges::find(clients_, client, &Client::name);
  if (known == clients_.end()) known = clients_.insert(known, {client, {}});
  known->works.push_back(work);
  changed_.notify_all();
  return work;
}

void MaskWorker::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kLongestWait,
                    [&] { return done_ != seen_ || (!busy_ && clients_.empty()); });
  seen_ = done_;
}

void MaskWorker::run() {
  // Of this thread, on Linux. More nice than all is no error.
  setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + kNice);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !clients_.empty(); });
    if (stopping_) return;
    const auto work = take();
    if (work == nullptr) continue;
    busy_ = true;
    lock.unlock();
    try {
      work->constraint_->prepare({});
    } catch (...) {  // whoever asks next is told
    }
    work->constraint_.reset();
    work->done_ = true;
    lock.lock();
    busy_ = false;
    ++done_;
    changed_.notify_all();
  }
}

// The next one, of the client whose turn it is. Null if nobody waits for it any more.
std::shared_ptr<MaskWork> MaskWorker::take() {
  Client& client = clients_.front();
  const auto work = client.works.front().lock();
  client.works.pop_front();
  if (client.works.empty()) {
    clients_.pop_front();
  } else if (work != nullptr) {
    clients_.splice(clients_.end(), clients_, clients_.begin());
  }
  return work;
}

}  // namespace tessera
