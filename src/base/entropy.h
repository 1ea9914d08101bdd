// Random numbers that nobody can know beforehand. Those of sampling are a function of a seed
// (decode/random.h).
#pragma once

#include <cstdint>

namespace tessera {

// Seeded by the operating system, once for each thread.
uint64_t random_number();

}  // namespace tessera
