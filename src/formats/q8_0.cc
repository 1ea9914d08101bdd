// Q8_0, 34 bytes for 32 elements: f16 d; 32 signed bytes.  x = d * q
#include "formats/bit_fields.h"
#include "formats/block_codec.h"
#include "formats/format.h"
#include "formats/scale_search.h"

namespace tessera {
namespace {

// -128 is a legal code, but we do not write it: dot products that take |q| as a signed byte break.
constexpr IntegerLevels kLevels{-127, 127};
constexpr Candidates kCandidates{-3, 1, 25};

void split(const uint8_t* block, BlockParts& parts) {
  parts.d = load_u16(block);
  for (int i = 0; i < 32; ++i) parts.codes[i] = block[2 + i] ^ 0x80;  // int8 + 128
}

void join(const BlockParts& parts, uint8_t* block) {
  store_u16(block, parts.d);
  for (int i = 0; i < 32; ++i) block[2 + i] = parts.codes[i] ^ 0x80;
}

void encode_q8_0(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<32, 34>(
      "Q8_0", 127 * kF16Max, src, dst, importance, [](const BlockInput<32>& in, uint8_t* block) {
        const float d = search_scale_f16<32>(kLevels, in.x, in.weight, kCandidates);
        const Coder coder(kLevels, d, 0);
        BlockParts parts;
        parts.d = f32_to_f16(d);
        for (int i = 0; i < 32; ++i) parts.codes[i] = static_cast<uint8_t>(coder(in.x[i]) + 1);
        join(parts, block);
      });
}

constexpr QuantizedBlock kBlock = {.code_bits = 8,
                                   .zero_point = 128,
                                   .group = 32,
                                   .scaling = BlockScaling::kF16,
                                   .split = split,
                                   .join = join,
                                   .lowest_code = 1};

}  // namespace

constinit const Format kQ8_0 = {.name = "Q8_0",
                                .block_elements = 32,
                                .block_bytes = 34,
                                .quantized = &kBlock,
                                .encode = encode_q8_0};

}  // namespace tessera
