// What GGUF files call their tensors.
#pragma once

#include <string>
#include <string_view>

#include "checkpoint/tensor_names.h"

namespace tessera::gguf {

// "blk.3.attn_q.weight", in files of that family. See TensorNames.
std::string tensor_name(TensorPlace place, std::string_view architecture = {});

// The place of any tensor of any GGUF file. Those of an encoder, a decoder or a vision tower
// ("enc.blk.3.attn_q.weight") have a role, but belong to no layer of the language model.
TensorPlace tensor_place(std::string_view name);

}  // namespace tessera::gguf
