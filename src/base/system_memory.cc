#include "base/system_memory.h"

#include <algorithm>
#include <fstream>
#include <string>

#include "base/cgroup.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace tessera {
size_t available_memory(const std::filesystem::path& root) {
  std::ifstream info(root / "proc/meminfo");
  size_t available = 0;
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("MemAvailable:")) available = std::stoull(line.substr(13)) << 10;
  }
  const auto room = cgroup_limits(root).memory;
  if (!room) return available;
  return available == 0 ? *room : std::min(available, *room);
}

void share_heaps() {
#ifdef __GLIBC__
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  mallopt(M_TRIM_THRESHOLD, 4 << 20);  // else 128 KiB, as the other is set
#endif
}

}  // namespace tessera
