// A parallel_for is a counter of indices not yet claimed and one of indices not yet finished. Any
// thread claims by compare-and-swap; the caller works too and waits only for what others have
// claimed. So a worker that is asleep or has lost its core delays nobody: its share is done by
// those who are there.
#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/available_cpus.h"
#include "base/relax.h"
#include "base/simd/target.h"
#include "base/timer.h"

namespace tessera {
namespace {

constexpr size_t kCacheLine = 64;
// Longer than the gaps between the operations of a forward pass, too short to be seen in a load
// meter.
constexpr std::chrono::microseconds kSpin{50};

// Waits until done() for a short while; true if it came to be. A thread without a core of its own
// yields, so that it never burns the time slice of the thread it waits for.
template <typename Done>
bool spin_until(bool own_core, Done done) {
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {
      if (done()) return true;
      relax();
    }
    if (!own_core) std::this_thread::yield();
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

// Time that one thread spent at work, for others to read.
struct alignas(kCacheLine) BusyClock {
  std::atomic<int64_t> nanoseconds{0};

  void add(const Timer& timer) {
    nanoseconds.fetch_add(static_cast<int64_t>(timer.seconds() * 1e9), std::memory_order_relaxed);
  }
  double seconds() const {
    return static_cast<double>(nanoseconds.load(std::memory_order_relaxed)) * 1e-9;
  }
};

}  // namespace

struct ThreadPool::State {
  using Body = FunctionRef<void(int, int)>;

  // Grows with every job; workers sleep on it.
  alignas(kCacheLine) std::atomic<uint32_t> generation{0};
  std::atomic<bool> stop{false};
  alignas(kCacheLine) std::atomic<int> unclaimed{0};
  alignas(kCacheLine) std::atomic<int> unfinished{0};

  // The job. Written before `unclaimed` is raised, read only after claiming an index of it, hence
  // constant until that index counts as finished.
  const Body* body = nullptr;
  int count = 0;
  std::atomic<bool> failed{false};
  std::exception_ptr error;
  std::mutex error_mutex;

  bool own_core = true;
  std::vector<std::thread> workers;

  std::atomic<bool> timed{false};
  std::vector<BusyClock> busy;  // of each thread, in timed sections
  int64_t sections = 0;         // timed ones
  double seconds = 0;           // from call to end of them

  void run_section(int job_count, const Body& job_body);
  void work_timed(int thread);
  void work(int thread);
  void run_worker(int thread);
  void stop_workers();
};

// Claims and runs indices until none is left.
void ThreadPool::State::work(int thread) {
  int left = unclaimed.load(std::memory_order_relaxed);
  while (left > 0) {
    // A stale `left` that happens to equal the present value is a valid claim on the present job.
    if (!unclaimed.compare_exchange_weak(left, left - 1, std::memory_order_acquire,
                                         std::memory_order_relaxed)) {
      continue;
    }
    if (!failed.load(std::memory_order_relaxed)) {
      try {
        (*body)(count - left, thread);
      } catch (...) {
        const std::lock_guard lock(error_mutex);
        if (!failed.exchange(true)) error = std::current_exception();
      }
    }
    if (unfinished.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished.notify_one();
    left = unclaimed.load(std::memory_order_relaxed);
  }
}

void ThreadPool::State::run_worker(int thread) {
  uint32_t seen = 0;
  while (true) {
    const auto news = [&] { return generation.load(std::memory_order_acquire) != seen; };
    if (!spin_until(own_core, news)) generation.wait(seen, std::memory_order_acquire);
    seen = generation.load(std::memory_order_acquire);
    if (stop.load(std::memory_order_relaxed)) return;
    work_timed(thread);
  }
}

void ThreadPool::State::work_timed(int thread) {
  if (!timed.load(std::memory_order_relaxed)) return work(thread);
  const Timer timer;
  work(thread);
  busy[static_cast<size_t>(thread)].add(timer);
}

void ThreadPool::State::stop_workers() {
  stop.store(true, std::memory_order_relaxed);
  generation.fetch_add(1, std::memory_order_seq_cst);
  generation.notify_all();
  for (std::thread& worker : workers) worker.join();
}

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  choose_target();
  const int cores = available_cpus();
  if (threads <= 0) threads = cores;
  state_->busy = std::vector<BusyClock>(static_cast<size_t>(threads));
  state_->own_core = threads <= cores;
  try {
    for (int i = 1; i < threads; ++i) {
      state_->workers.emplace_back([state = state_.get(), i] { state->run_worker(i); });
    }
  } catch (...) {  // the system has no more threads to give
    state_->stop_workers();
    throw;
  }
}

ThreadPool::~ThreadPool() {
  state_->stop_workers();
}

int ThreadPool::threads() const {
  return static_cast<int>(state_->workers.size()) + 1;
}

// One job, from the call until all of its indices are finished.
void ThreadPool::State::run_section(int job_count, const Body& job_body) {
  if (job_count == 1 || workers.empty()) {
    for (int i = 0; i < job_count; ++i) job_body(i, 0);
    return;
  }
  body = &job_body;
  count = job_count;
  failed.store(false, std::memory_order_relaxed);
  unfinished.store(count, std::memory_order_relaxed);
  unclaimed.store(count, std::memory_order_release);
  generation.fetch_add(1, std::memory_order_seq_cst);
  generation.notify_all();

  work_timed(0);
  const auto done = [&] { return unfinished.load(std::memory_order_acquire) == 0; };
  while (!spin_until(own_core, done)) {
    const int left = unfinished.load(std::memory_order_acquire);
    if (left != 0) unfinished.wait(left, std::memory_order_acquire);
  }
  if (failed.load(std::memory_order_relaxed)) std::rethrow_exception(std::exchange(error, nullptr));
}

void ThreadPool::parallel_for(int count, FunctionRef<void(int index, int thread)> body) {
  if (count <= 0) return;
  State& state = *state_;
  if (!state.timed.load(std::memory_order_relaxed)) return state.run_section(count, body);
  const Timer section;
  state.run_section(count, body);
  if (count == 1 || state.workers.empty()) state.busy[0].add(section);
  state.seconds += section.seconds();
  ++state.sections;
}

void ThreadPool::time_sections(bool on) {
  state_->timed.store(on, std::memory_order_relaxed);
}

ParallelTime ThreadPool::parallel_time() const {
  const State& state = *state_;
  double busy = 0;
  for (const BusyClock& clock : state.busy) busy += clock.seconds();
  return {.sections = state.sections,
          .seconds = state.seconds,
          .waiting = std::max(0.0, state.seconds - state.busy[0].seconds()),
          .idle = std::max(0.0, state.seconds - busy / threads())};
}

}  // namespace tessera
