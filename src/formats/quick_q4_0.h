// Q4_0 for those who cannot wait: without a search for the best scale.
#pragma once

#include <cstddef>
#include <span>

#include "formats/format.h"

namespace tessera {

// As Format::encode of Q4_0, but each block's scale is that of its largest element (absmax): less
// exact, and several times as fast. `importance` plays no part.
void encode_q4_0_by_largest(std::span<const float> src, std::byte* dst,
                            std::span<const float> importance);

}  // namespace tessera
