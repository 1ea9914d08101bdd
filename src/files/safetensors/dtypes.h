// The dtypes of safetensors as formats.
#pragma once

#include <string_view>

#include "formats/format.h"

namespace tessera::safetensors {

// The format of that name: one of all_formats(), or one that is known by its size only ("U8",
// "F8_E4M3", "F4"), of which layouts of quantized matrices make something else. nullptr: no dtype.
const Format* format_of_dtype(std::string_view dtype);

}  // namespace tessera::safetensors
