// What the control group of this process allows it: containers and services are limited so,
// whatever the machine has. https://docs.kernel.org/admin-guide/cgroup-v2.html, .../cgroup-v1/
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>

namespace tessera {

// Of groups within groups each limits those below it: these are the tightest. nullopt: no limit.
struct CgroupLimits {
  std::optional<double> cpus;    // of time, as many as run at once on average: "--cpus=1.5"
  std::optional<size_t> memory;  // bytes that may still be taken
};

// Version 2 and version 1 (both may be there), read under `root` as the kernel lays them out:
// /proc/self/cgroup, /proc/self/mountinfo and the folders that they name.
//
// Pages of files count as used memory in a group, but the kernel drops them where memory is needed,
// as it does without groups: a mapped model is not counted, nor is what was read lately.
CgroupLimits cgroup_limits(const std::filesystem::path& root = "/");

}  // namespace tessera
