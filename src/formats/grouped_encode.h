// Encoders of grouped formats (grouped.h), of the kinds that somebody writes.
#pragma once

#include "formats/grouped.h"

namespace tessera {

using Encode = void (*)(std::span<const float> src, std::byte* dst,
                        std::span<const float> importance);

// nullptr for kinds that are only read. As Format::encode; in particular
//
//   integers      the scale, and the zero, of the least squared error; zeros are 1 to the highest
//                 code, as GPTQ's first version stores zero - 1
//   NF4, FP4      the scale is the largest magnitude (bitsandbytes)
//   shared scales, and what they are made of, are taken from `dst`: the codes alone are chosen
Encode encoder_of(const GroupedKind& kind);

}  // namespace tessera
