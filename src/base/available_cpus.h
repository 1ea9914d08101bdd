// How many threads are worth their while.
#pragma once

#include <filesystem>

namespace tessera {

// CPUs that this process may run on, at least 1: no more than its affinity ("taskset") and the
// quota of its control group ("docker --cpus") allow. A quota of a part counts as a whole: 1.5
// are 2.
int available_cpus(const std::filesystem::path& root = "/");

}  // namespace tessera
