// The table of families, in parts. Sources: the families' configuration and modeling files in
// Hugging Face's transformers.
#pragma once

#include <span>

#include "files/huggingface/families.h"

namespace tessera::huggingface {

std::span<const Family> dense_families();
std::span<const Family> expert_families();
std::span<const Family> recurrent_families();  // of some layers at least, experts or not
std::span<const Family> layer_norm_families();
std::span<const Family> embedding_families();

}  // namespace tessera::huggingface
