// What every encoder of blocks shares: walking over the blocks of a row, and checks of the input.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "formats/f16_field.h"

namespace tessera {

// Throws Error unless the row is whole blocks of finite values and the importance, if there is
// any, has one finite value >= 0 for each element.
void check_row(std::string_view format, size_t block_elements, std::span<const float> row,
               std::span<const float> importance);

// Writes the weights of one block's squared errors, the largest 1. An element of no importance
// keeps a little, so that it is still encoded well wherever that costs the others nothing.
// Without importance every element weighs the same: plain squared error.
void block_weights(std::span<const float> importance, std::span<float> weights);

// One block on its way into bytes: kElements values, saturated to what the format can represent.
template <int kElements>
struct BlockInput {
  alignas(16) float x[kElements];
  alignas(16) float weight[kElements];
};

// Calls encode_block(const BlockInput&, uint8_t* block) for each block; `block` starts as zeros.
// `limit` is the largest magnitude that the format can represent with an f16 scale.
template <int kElements, int kBytes, typename EncodeBlock>
void encode_blocks(std::string_view format, float limit, std::span<const float> src, std::byte* dst,
                   std::span<const float> importance, EncodeBlock encode_block) {
  check_row(format, kElements, src, importance);
  auto* block = reinterpret_cast<uint8_t*>(dst);
  BlockInput<kElements> input;
  for (size_t i = 0; i < src.size(); i += kElements, block += kBytes) {
    for (size_t j = 0; j < kElements; ++j) input.x[j] = std::clamp(src[i + j], -limit, limit);
    block_weights(importance.empty() ? importance : importance.subspan(i, kElements), input.weight);
    std::fill_n(block, kBytes, uint8_t{0});
    encode_block(input, block);
  }
}

}  // namespace tessera
