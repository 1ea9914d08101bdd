// What a GGUF file says of a model of which only some layers stay.
#pragma once

#include <span>

#include "files/gguf/metadata.h"

namespace tessera::gguf {

// These layers alone, which count from 0 anew: lists of a value for each layer follow. Error for
// metadata that does not say how many there are.
void keep_layers(GgufMetadata& metadata, std::span<const int> layers);

}  // namespace tessera::gguf
