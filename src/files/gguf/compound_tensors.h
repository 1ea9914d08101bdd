// Tensors that GGUF keeps as more than blocks in a row.
//
//   I2_S   BitNet's own type (microsoft/BitNet, its fork of ggml): ternary codes, then one scale
//   for
//          all of them. 128 elements take 32 bytes: byte i holds elements i, i + 32, i + 64, i +
//          96, the first in its two highest bits; codes 0, 1, 2 for -1, 0, 1, and 3 for 0. Behind
//          all codes come 32 bytes that begin with an f32: x = scale * code. bitnet.cpp computes
//          scales and packs on x86 and in its Python converters like this; what its llama-quantize
//          packs on Arm is in blocks of 64, which no file tells apart.
//   NVFP4  "X.scale": what the values of "X.weight" are to be multiplied with, one f32, or one for
//          each expert. "X.input_scale" is for activations in NVFP4, and of no use here.
//          https://github.com/ggml-org/llama.cpp (conversion/base.py,
//          llama_model_base::load_tensors)
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "checkpoint/stored_tensor.h"

namespace tessera::gguf {

// Bytes behind the blocks of a tensor.
uint64_t tail_bytes(const Format& format);

// NVFP4 with a factor for the whole matrix, which puts its scales where they have bits: what is
// encoded to, and written as two tensors.
const Format& factored_nvfp4();
// The blocks of NVFP4 that rows in that format are, and the factor.
struct FactoredRows {
  std::vector<std::byte> blocks;
  float factor = 0;
};
FactoredRows factored_rows(std::span<const std::byte> rows);

// Replaces each such tensor by one whose rows are in a format of blocks (formats/grouped.h); what
// was beside it is gone. Error for a factor of another type or shape.
void join_compounds(std::vector<StoredTensor>& tensors);

}  // namespace tessera::gguf
