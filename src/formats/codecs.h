// The decode and encode functions of each format, for the table in registry.cc only.
#pragma once

#include <cstddef>
#include <span>

namespace tessera {

#define TESSERA_DECLARE_CODEC(name)                               \
  void decode_##name(const std::byte* src, std::span<float> dst); \
  void encode_##name(std::span<const float> src, std::byte* dst, std::span<const float> importance)

TESSERA_DECLARE_CODEC(f32);
TESSERA_DECLARE_CODEC(f16);
TESSERA_DECLARE_CODEC(bf16);
TESSERA_DECLARE_CODEC(q4_0);
TESSERA_DECLARE_CODEC(q4_1);
TESSERA_DECLARE_CODEC(q5_0);
TESSERA_DECLARE_CODEC(q5_1);
TESSERA_DECLARE_CODEC(q8_0);
TESSERA_DECLARE_CODEC(q2_k);
TESSERA_DECLARE_CODEC(q3_k);
TESSERA_DECLARE_CODEC(q4_k);
TESSERA_DECLARE_CODEC(q5_k);
TESSERA_DECLARE_CODEC(q6_k);
TESSERA_DECLARE_CODEC(iq4_nl);
TESSERA_DECLARE_CODEC(iq4_xs);
TESSERA_DECLARE_CODEC(mxfp4);

#undef TESSERA_DECLARE_CODEC

}  // namespace tessera
