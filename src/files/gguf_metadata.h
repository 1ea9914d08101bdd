// A model of whatever kind, as a GGUF file would say it.
#pragma once

#include "checkpoint/checkpoint.h"
#include "files/gguf/metadata.h"

namespace tessera {

// All that a GGUF file of it says beside its tensors: facts, tokenizer and templates. Warns of what
// of a folder's tokenizer no GGUF file can say. Error for a kind that cannot be written as GGUF.
GgufMetadata gguf_metadata(const Checkpoint& model);

}  // namespace tessera
