// What was measured of a model, as text: kept between runs, and read by people.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "compress/sensitivity.h"

namespace tessera {

// A line a tensor: its number, its factor, and FORMAT=ERROR for each format.
std::string write_sensitivities(std::span<const Sensitivity> sensitivities);
// What was written, bit for bit. Error if it is anything else, or of other tensors.
std::vector<Sensitivity> read_sensitivities(std::string_view text, std::span<const size_t> tensors);

}  // namespace tessera
