// From one quantized format to another code for code, where both count in the same steps: symmetric
// GPTQ to Q4_0, AWQ to Q4_1, 8-bit integers to Q8_0, MXFP4, ternary. To decode and encode again
// would look for scales anew, and lose what the first quantization knew.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "formats/format.h"

namespace tessera {

// Is there a way at all? It may fail for some rows: see copy_codes().
bool may_share_grid(const Format& from, const Format& to);

// Writes a row of `columns` elements in the other format with its codes as they are. Returns how
// far the scales and minimums were rounded at most, in steps (0: every value is the same); nothing
// if the codes do not fit, or that would be more than 1/64, and then what is in `dst` means
// nothing.
std::optional<float> copy_codes(const Format& from, const std::byte* src, uint64_t columns,
                                const Format& to, std::byte* dst);

}  // namespace tessera
