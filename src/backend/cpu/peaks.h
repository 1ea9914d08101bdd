// The limits of this machine, measured: what memory delivers and what the arithmetic units take in.
#pragma once

#include "backend/meter.h"
#include "base/thread_pool.h"

namespace tessera::cpu {

// With all threads of the pool and the chosen target's instructions. Best of several passes: what
// else the machine does only takes away from a peak.
Peaks measure_peaks(ThreadPool& pool);

}  // namespace tessera::cpu
