// What the matrices of a draft model are cut to when it is loaded.
#pragma once

#include "formats/format.h"

namespace tessera {

// Q4_0, made quickly (formats/quick_q4_0.h): a draft need not be exact, and whoever starts a
// program waits for it. nullptr for columns that are no whole blocks of it.
const Format* draft_format(uint64_t columns);

}  // namespace tessera
