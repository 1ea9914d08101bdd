#include "devices/device.h"

#include "backend/cpu/cpu_backend.h"

namespace tessera {

Device open_cpu(int threads) {
  auto pool = std::make_shared<ThreadPool>(threads);
  return {make_cpu_backend(pool), pool, make_cpu_meter(pool)};
}

}  // namespace tessera
