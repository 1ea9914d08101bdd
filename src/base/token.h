#pragma once

#include <cstdint>

namespace tessera {

// An index into a model's vocabulary.
using Token = int32_t;

}  // namespace tessera
