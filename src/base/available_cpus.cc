#include "base/available_cpus.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "base/cgroup.h"

namespace tessera {

int available_cpus(const std::filesystem::path& root) {
  int cpus = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
    cpus = std::clamp(CPU_COUNT(&allowed), 1, cpus);
  }
  const auto quota = cgroup_limits(root).cpus;
  return quota ? std::clamp(static_cast<int>(std::ceil(*quota)), 1, cpus) : cpus;
}

}  // namespace tessera
