// What a machine can do at most, and how busy it is, for those who look for lost time
// (evaluate/roofline.h).
#pragma once

#include "base/thread_pool.h"

namespace tessera {

// The limits of a machine, as measured with all of its threads.
struct Peaks {
  double read_bytes_per_second = 0;  // from memory, beyond the caches
  double dot_macs_per_second = 0;    // int8 multiply-adds of the best dot instruction
  double fma_macs_per_second = 0;    // f32 multiply-adds
};

class Meter {
 public:
  virtual ~Meter();

  // Takes about half a second, and up to 1 GiB of memory meanwhile. Noise only lowers what it
  // finds, so the best of several calls is the truth.
  virtual Peaks measure_peaks() = 0;
  // Turns the clocks of parallel sections on or off; they are off, and free, by default.
  virtual void time_sections(bool on) = 0;
  virtual ParallelTime parallel_time() const = 0;  // sums over all sections that were timed
};

}  // namespace tessera
