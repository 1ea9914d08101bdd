// Q4_0 and Q4_1: 32 elements of 4 bits with one f16 scale (and, in Q4_1, one f16 minimum).
//
//   Q4_0, 18 bytes: f16 d; 16 bytes of codes.         x = d * (q - 8)
//   Q4_1, 20 bytes: f16 d; f16 m; 16 bytes of codes.  x = d * q + m
//
// Byte i holds the code of element i in its low half and that of element i + 16 in its high half.
#include "formats/block_codec.h"
#include "formats/codecs.h"
#include "formats/scale_search.h"

namespace tessera {
namespace {

constexpr IntegerLevels kSigned{-8, 7};
constexpr IntegerLevels kUnsigned{0, 15};
constexpr Candidates kCandidates4_0{-1.5f, 1.5f, 31};
constexpr Candidates kCandidates4_1{-0.8f, 0.8f, 5};

}  // namespace

void decode_q4_0(const std::byte* src, std::span<float> dst) {
  decode_blocks<32, 18>(src, dst, [](const uint8_t* block, float* x) {
    const float d = load_f16(block);
    for (int i = 0; i < 16; ++i) {
      x[i] = d * static_cast<float>((block[2 + i] & 15) - 8);
      x[i + 16] = d * static_cast<float>((block[2 + i] >> 4) - 8);
    }
  });
}

void encode_q4_0(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<32, 18>(
      "Q4_0", 8 * kF16Max, src, dst, importance, [](const BlockInput<32>& in, uint8_t* block) {
        const float d = search_scale_f16<32>(kSigned, in.x, in.weight, kCandidates4_0);
        const Coder coder(kSigned, d, 0);
        store_f16(block, d);
        for (int i = 0; i < 16; ++i) {
          block[2 + i] = static_cast<uint8_t>(coder(in.x[i]) | (coder(in.x[i + 16]) << 4));
        }
      });
}

void decode_q4_1(const std::byte* src, std::span<float> dst) {
  decode_blocks<32, 20>(src, dst, [](const uint8_t* block, float* x) {
    const float d = load_f16(block);
    const float m = load_f16(block + 2);
    for (int i = 0; i < 16; ++i) {
      x[i] = d * static_cast<float>(block[4 + i] & 15) + m;
      x[i + 16] = d * static_cast<float>(block[4 + i] >> 4) + m;
    }
  });
}

void encode_q4_1(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<32, 20>(
      "Q4_1", kF16Max, src, dst, importance, [](const BlockInput<32>& in, uint8_t* block) {
        const AffineF16 fit = search_affine_f16<32>(kUnsigned, in.x, in.weight, kCandidates4_1);
        const Coder coder(kUnsigned, fit.scale, fit.offset);
        store_f16(block, fit.scale);
        store_f16(block + 2, fit.offset);
        for (int i = 0; i < 16; ++i) {
          block[4 + i] = static_cast<uint8_t>(coder(in.x[i]) | (coder(in.x[i + 16]) << 4));
        }
      });
}

}  // namespace tessera
