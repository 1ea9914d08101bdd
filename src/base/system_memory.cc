#include "base/system_memory.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace tessera {
namespace {

// The number in a file that holds one; nullopt for "max" or no such file.
std::optional<size_t> read_number(const char* path) {
  std::ifstream in(path);
  size_t number = 0;
  if (!(in >> number)) return std::nullopt;
  return number;
}

}  // namespace

size_t available_memory() {
  std::ifstream info("/proc/meminfo");
  size_t available = 0;
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("MemAvailable:")) available = std::stoull(line.substr(13)) << 10;
  }
  const auto limit = read_number("/sys/fs/cgroup/memory.max");
  const auto used = read_number("/sys/fs/cgroup/memory.current");
  if (limit && used) available = std::min(available, *limit - std::min(*limit, *used));
  return available;
}

void share_heaps() {
#ifdef __GLIBC__
  mallopt(M_ARENA_MAX, 2);
#endif
}

}  // namespace tessera
