// The threads that the host's work shares: the CPU's kernels, choosing tokens, encoding weights.
#pragma once

#include <cstdint>
#include <memory>

#include "base/function_ref.h"

namespace tessera {

// Time in the sections where the threads are called together.
struct ParallelTime {
  int64_t sections = 0;
  double seconds = 0;  // wall time of all sections
  double waiting = 0;  // of the calling thread, for the others to start and to finish
  double idle = 0;     // of all threads, their mean
};

class ThreadPool {
 public:
  // 0: one for each core this process may run on. The calling thread is one of them.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Calls body(index, thread) once for each index in [0, count), on any thread, and returns when
  // all are done. Threads take indices in ascending order: what a body waits for may be work of a
  // lower one that cannot fail. Costs a few microseconds; idle threads spin briefly, then sleep. An
  // exception from body is rethrown here. One caller at a time; not reentrant.
  void parallel_for(int count, FunctionRef<void(int index, int thread)> body);

  // Turns the clocks of sections on or off: for those who look for lost time. Off, and free, by
  // default.
  void time_sections(bool on);
  ParallelTime parallel_time() const;  // sums since the pool was made

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tessera
