// How much memory there is to take.
#pragma once

#include <cstddef>

namespace tessera {

// Bytes that this process could still use: what the system says is available, and no more than its
// control group allows. 0 if nothing tells.
size_t available_memory();

}  // namespace tessera
