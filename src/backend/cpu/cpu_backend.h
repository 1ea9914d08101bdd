// The CPU as a backend.
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"
#include "backend/meter.h"
#include "base/thread_pool.h"

namespace tessera {

// Its operations run on the pool, and are done when they return. `weights_folder`: where it keeps
// weights in a file, so that they need not all be in memory; "": in memory.
std::unique_ptr<Backend> make_cpu_backend(std::shared_ptr<ThreadPool> pool,
                                          const std::string& weights_folder = {});
std::unique_ptr<Meter> make_cpu_meter(std::shared_ptr<ThreadPool> pool);

}  // namespace tessera
