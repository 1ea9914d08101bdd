// What a model runs on. The one room that knows which backends there are: all others know only the
// interfaces, so that none can depend on where a backend keeps its values.
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"
#include "backend/meter.h"
#include "base/thread_pool.h"

namespace tessera {

struct Device {
  std::shared_ptr<Backend> backend;
  std::shared_ptr<ThreadPool> pool;  // of the host, for what is done there: choosing tokens
  std::shared_ptr<Meter> meter;
};

// threads = 0: one for each core this process may use. `weights_folder`: where weights are kept in
// a file, of which what is not used may leave memory; "": in memory.
Device open_cpu(int threads = 0, const std::string& weights_folder = {});

}  // namespace tessera
