// F32, F16, BF16: one element is one block.
#include <bit>
#include <cmath>
#include <cstdint>

#include "base/half.h"
#include "formats/format.h"

namespace tessera {
namespace {

// Bytes are put together one by one: the file is little-endian, whatever this machine is.
uint16_t load16(const std::byte* p) {
  return static_cast<uint16_t>(std::to_integer<unsigned>(p[0]) |
                               (std::to_integer<unsigned>(p[1]) << 8));
}

void store16(std::byte* p, uint16_t v) {
  p[0] = static_cast<std::byte>(v & 0xff);
  p[1] = static_cast<std::byte>(v >> 8);
}

// A finite value stays finite: where rounding gave infinity (`infinity` without its sign), the
// largest finite code, one below, takes its place.
uint16_t saturate(uint16_t bits, uint16_t infinity, float value) {
  return (bits & 0x7fffu) == infinity && std::isfinite(value) ? static_cast<uint16_t>(bits - 1)
                                                              : bits;
}

void decode_f32(const std::byte* src, std::span<float> dst) {
  for (size_t i = 0; i < dst.size(); ++i, src += 4) {
    dst[i] = std::bit_cast<float>(load16(src) | (static_cast<uint32_t>(load16(src + 2)) << 16));
  }
}

void encode_f32(std::span<const float> src, std::byte* dst, std::span<const float>) {
  for (size_t i = 0; i < src.size(); ++i, dst += 4) {
    const auto bits = std::bit_cast<uint32_t>(src[i]);
    store16(dst, static_cast<uint16_t>(bits & 0xffff));
    store16(dst + 2, static_cast<uint16_t>(bits >> 16));
  }
}

void decode_f16(const std::byte* src, std::span<float> dst) {
  for (size_t i = 0; i < dst.size(); ++i) dst[i] = f16_to_f32(load16(src + 2 * i));
}

void encode_f16(std::span<const float> src, std::byte* dst, std::span<const float>) {
  for (size_t i = 0; i < src.size(); ++i)
    store16(dst + 2 * i, saturate(f32_to_f16(src[i]), 0x7c00, src[i]));
}

void decode_bf16(const std::byte* src, std::span<float> dst) {
  for (size_t i = 0; i < dst.size(); ++i) dst[i] = bf16_to_f32(load16(src + 2 * i));
}

void encode_bf16(std::span<const float> src, std::byte* dst, std::span<const float>) {
  for (size_t i = 0; i < src.size(); ++i)
    store16(dst + 2 * i, saturate(f32_to_bf16(src[i]), 0x7f80, src[i]));
}

}  // namespace

constinit const Format kF32 = {.name = "F32",
                               .block_elements = 1,
                               .block_bytes = 4,
                               .decode_values = decode_f32,
                               .encode = encode_f32};
constinit const Format kF16 = {.name = "F16",
                               .block_elements = 1,
                               .block_bytes = 2,
                               .decode_values = decode_f16,
                               .encode = encode_f16};
constinit const Format kBF16 = {.name = "BF16",
                                .block_elements = 1,
                                .block_bytes = 2,
                                .decode_values = decode_bf16,
                                .encode = encode_bf16};

}  // namespace tessera
