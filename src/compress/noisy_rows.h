// An error of known kind, to see what errors do.
#pragma once

#include <memory>

#include "compress/methods/method.h"

namespace tessera {

// Encodes to F16, each value moved by as much as rounding to a grid of 4 bits moves it at most:
// uniform noise within half a step, sixteen steps to the range of each 32 neighbours. The noise is
// a hash of the value and its column, so that nothing depends on the order of the rows.
std::unique_ptr<RowEncoder> noisy_rows(size_t columns);

}  // namespace tessera
