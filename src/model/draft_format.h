// What the matrices of a draft model are cut to when it is loaded.
#pragma once

#include "formats/format.h"

namespace tessera {

// Q4_0, made quickly (formats/quick_q4_0.h): a draft need not be exact, and whoever starts a
// program waits for it.
const Format& draft_format();

}  // namespace tessera
