// The sampling that a model comes with.
#pragma once

#include "checkpoint/facts.h"
#include "tessera/options.h"

namespace tessera {

// The facts "general.sampling.*", which generation_config.json and GGUF files may have; for all
// that they do not say, SamplingOptions as they are. A repetition penalty then looks at all tokens,
// as Hugging Face's does. Error for values out of range.
SamplingOptions read_sampling(const Facts& facts);

}  // namespace tessera
