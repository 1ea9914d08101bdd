// Quantized weights times activations quantized to int8.
#pragma once

#include <cstdint>

#include "backend/cpu/activations.h"
#include "backend/cpu/layout.h"

namespace tessera::cpu {

// sums[row - 4 * first_tile][0 .. 31] = the dots of a panel with the rows of tiles [first_tile,
// end_tile).
void multiply_panel(const Layout& layout, const std::byte* panel, const QuantizedRows& rows,
                    const int32_t* terms, int first_tile, int end_tile, float (*sums)[kPanelRows]);

// Does this machine expand sparse codes in less time than memory would take to deliver what they
// spare?
bool expands_fast();

}  // namespace tessera::cpu
