// NVFP4, 36 bytes for 64 elements in 4 groups of 16: a scale of 7 bits for each group, a float of 4
// exponent and 3 mantissa bits; 32 bytes of E2M1 codes, 8 a group: byte i holds elements i (low
// half) and i + 8 (high half).
//
// The codes are 0, 0.5, 1, 1.5, 2, 3, 4, 6 and a sign. We count them in halves: x = scale / 2 *
// level[q]. A scale of 0x7f is zero, as in ggml (dequantize_row_nvfp4, ggml_ue4m3_to_fp32). A file
// has a factor for the whole tensor beside it, in a tensor of its own.
#include "formats/bit_fields.h"
#include "formats/format.h"

namespace tessera {
namespace {

constexpr int8_t kTable[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
constexpr int kGroups = 4, kCodes = 4;

void split(const uint8_t* block, BlockParts& parts) {
  for (int g = 0; g < kGroups; ++g) {
    parts.scales[g] = static_cast<int8_t>(block[g] == 0x7f ? 0 : block[g] & 0x7f);
    for (int i = 0; i < 8; ++i) {
      const uint8_t byte = block[kCodes + 8 * g + i];
      parts.codes[16 * g + i] = byte & 15;
      parts.codes[16 * g + i + 8] = byte >> 4;
    }
  }
}

constexpr QuantizedBlock kBlock = {.code_bits = 4,
                                   .levels = kTable,
                                   .group = 16,
                                   .scaling = BlockScaling::kE4M3,
                                   .unit = 0.5f,
                                   .split = split};

}  // namespace

constinit const Format kNVFP4 = {
    .name = "NVFP4", .block_elements = 64, .block_bytes = 36, .quantized = &kBlock};

}  // namespace tessera
