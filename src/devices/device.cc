#include "devices/device.h"

#include "backend/cpu/cpu_backend.h"

namespace tessera {

Device open_cpu(int threads, const std::string& weights_folder) {
  auto pool = std::make_shared<ThreadPool>(threads);
  return {make_cpu_backend(pool, weights_folder), pool, make_cpu_meter(pool)};
}

}  // namespace tessera
