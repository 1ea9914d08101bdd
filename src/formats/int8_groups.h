// INT8: what matrices of floats are cut to for LLM.int8() (Dettmers et al. 2022): codes of -127 ..
// 127 by absmax, x = scale * code, a scale for each group of up to 256 columns.
//
// The paper scales whole rows; groups cost 0.125 bits a weight and are as exact or more.
#pragma once

#include "formats/format.h"

namespace tessera {

// With the largest groups that divide `columns`; nullptr: none does. It can encode.
const Format* int8_groups(uint64_t columns);

}  // namespace tessera
