// The type ids of tensors in GGUF files: ggml's list (enum ggml_type in ggml.h).
#pragma once

#include <cstdint>

#include "formats/format.h"

namespace tessera::gguf {

const Format* format_of(uint32_t type);  // nullptr for an id that is unknown, or was withdrawn
uint32_t type_of(const Format& format);  // Error for a format that GGUF has no id for

}  // namespace tessera::gguf
