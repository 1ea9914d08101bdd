// The threads that every CPU operation shares.
#pragma once

#include <memory>

#include "backend/backend.h"
#include "base/function_ref.h"

namespace tessera::cpu {

class ThreadPool {
 public:
  // 0: one for each core this process may run on. The calling thread is one of them.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Calls body(index, thread) once for each index in [0, count), on any thread in any order, and
  // returns when all are done. Costs a few microseconds; idle threads spin briefly, then sleep.
  // An exception from body is rethrown here. One caller at a time; not reentrant.
  void parallel_for(int count, FunctionRef<void(int index, int thread)> body);

  // Clocks around the work of each thread, for those who look for lost time. Off by default.
  void time_sections(bool on);
  ParallelTime parallel_time() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tessera::cpu
