// Q8_0, 34 bytes for 32 elements: f16 d; 32 signed bytes.  x = d * q
#include "formats/block_codec.h"
#include "formats/codecs.h"
#include "formats/scale_search.h"

namespace tessera {
namespace {

// -128 is a legal code, but we do not write it: dot products that take |q| as a signed byte break.
constexpr IntegerLevels kLevels{-127, 127};
constexpr Candidates kCandidates{-3, 1, 25};

}  // namespace

void decode_q8_0(const std::byte* src, std::span<float> dst) {
  decode_blocks<32, 34>(src, dst, [](const uint8_t* block, float* x) {
    const float d = load_f16(block);
    for (int i = 0; i < 32; ++i) x[i] = d * static_cast<float>(static_cast<int8_t>(block[2 + i]));
  });
}

void encode_q8_0(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<32, 34>(
      "Q8_0", 127 * kF16Max, src, dst, importance, [](const BlockInput<32>& in, uint8_t* block) {
        const float d = search_scale_f16<32>(kLevels, in.x, in.weight, kCandidates);
        const Coder coder(kLevels, d, 0);
        store_f16(block, d);
        for (int i = 0; i < 32; ++i) block[2 + i] = static_cast<uint8_t>(coder(in.x[i]) - 127);
      });
}

}  // namespace tessera
