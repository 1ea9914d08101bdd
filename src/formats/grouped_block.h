// The bytes of a grouped block (grouped.h), taken apart and put together.
#pragma once

#include "formats/grouped.h"

namespace tessera {

using SplitBlock = void (*)(const uint8_t* block, BlockParts& parts);
using JoinBlock = void (*)(const BlockParts& parts, uint8_t* block);

SplitBlock split_of(const GroupedKind& kind);
// Of scales that are shared it writes the codes alone: what is before them stays.
JoinBlock join_of(const GroupedKind& kind);

}  // namespace tessera
