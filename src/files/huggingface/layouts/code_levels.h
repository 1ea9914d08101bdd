// What the codes of grouped formats stand for, as tables.
#pragma once

#include <vector>

#include "formats/grouped.h"

namespace tessera::huggingface {

// 16 levels, or 256 of a float of 8 bits; not for integers.
const std::vector<float>& levels_of(GroupedCodes codes);

}  // namespace tessera::huggingface
