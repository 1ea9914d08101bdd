// The memory of the process: how much there is to take, and how the heap keeps it.
#pragma once

#include <cstddef>
#include <filesystem>

namespace tessera {

// Bytes that this process could still use: what the system says is available, and no more than its
// control group allows (base/cgroup.h). 0 if nothing tells.
size_t available_memory(const std::filesystem::path& root = "/");

// For a program of many threads that run for months, to be called before the first of them. glibc
// gives threads heaps of their own, each of which keeps the most that it ever held: that looks like
// a leak for hours. So all share two; and what is larger than a mebibyte goes back to the system
// when it is freed, for glibc would learn from the first that goes to keep the next.
void share_heaps();

}  // namespace tessera
