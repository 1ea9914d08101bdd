// Decoding of blocks whose values the gguf package (an independent implementation) worked out.
#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "formats/format.h"
#include "test_data.h"

namespace tessera {
namespace {

struct Golden {
  const char* format;
  std::string_view hex;
  std::vector<float> values;
};

const std::vector<Golden>& goldens() {
  static const std::vector<Golden> table = {
#include "decode_golden.inc"
  };
  return table;
}

std::vector<std::byte> from_hex(std::string_view hex) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

std::vector<float> decode(const Format& format, const std::vector<std::byte>& bytes) {
  std::vector<float> values(bytes.size() / format.block_bytes * format.block_elements);
  format.decode(bytes.data(), values);
  return values;
}

TEST(Decode, EveryBlockFormatMatchesItsGolden) {
  for (const Golden& golden : goldens()) {
    const Format& format = require_format(golden.format);
    const auto bytes = from_hex(golden.hex);
    ASSERT_EQ(bytes.size(), format.block_bytes) << golden.format;
    EXPECT_EQ(decode(format, bytes), golden.values) << golden.format;
  }
}

TEST(Decode, EverySupportedBlockFormatHasAGolden) {
  for (const Format* known : all_formats()) {
    const Format& format = *known;
    if (!format.supported() || format.block_elements == 1) continue;
    bool found = false;
    for (const Golden& golden : goldens()) found |= golden.format == format.name;
    EXPECT_TRUE(found) << format.name;
  }
}

TEST(Decode, BlocksFollowOneAnother) {
  for (const Golden& golden : goldens()) {
    const Format& format = require_format(golden.format);
    const auto one = from_hex(golden.hex);
    std::vector<std::byte> two(one.size());  // a block of zero bytes first
    two.insert(two.end(), one.begin(), one.end());
    const auto values = decode(format, two);
    EXPECT_EQ(std::vector<float>(values.begin() + format.block_elements, values.end()),
              golden.values);
  }
}

TEST(Decode, ScalesAreAppliedInTheSpecifiedOrder) {
  // A scale and a minimum that are not powers of two: f16 0x2e66 = 0.0999756, 0xb266 = -0.199951.
  auto bytes = from_hex("662e66b2000102030405060708090a0b0c0d0e0f");
  const auto values = decode(kQ4_1, bytes);
  EXPECT_EQ(values[3], 0.0999755859375f * 3.0f + -0.199951171875f);
  EXPECT_EQ(values[19], -0.199951171875f);
}

TEST(Decode, Floats) {
  EXPECT_EQ(decode(kF32, from_hex("0000803f000000c0")), (std::vector<float>{1.0f, -2.0f}));
  EXPECT_EQ(decode(kF16, from_hex("003c00c001000080")),
            (std::vector<float>{1.0f, -2.0f, 0x1p-24f, -0.0f}));
  EXPECT_EQ(decode(kBF16, from_hex("803f00c04940")), (std::vector<float>{1.0f, -2.0f, 3.140625f}));
}

TEST(Decode, Mxfp4CoversTheWholeRangeOfExponents) {
  std::vector<std::byte> block(17, std::byte{0x12});  // low codes 2 (1.0), high codes 1 (0.5)
  block[0] = std::byte{0};
  EXPECT_EQ(decode(kMXFP4, block)[0], 0x1p-127f);
  EXPECT_EQ(decode(kMXFP4, block)[16], 0x1p-128f);
  block[0] = std::byte{127};
  EXPECT_EQ(decode(kMXFP4, block)[0], 1.0f);
  block[0] = std::byte{254};
  EXPECT_EQ(decode(kMXFP4, block)[0], 0x1p127f);
}

TEST(Decode, EveryBitPatternDecodes) {
  Lcg random(7);
  for (const Format* known : all_formats()) {
    const Format& format = *known;
    if (!format.supported()) continue;
    std::vector<std::byte> bytes(64 * format.block_bytes);
    for (auto& b : bytes) b = static_cast<std::byte>(random.bits24() >> 16);
    EXPECT_EQ(decode(format, bytes).size(),
              64 * format.block_elements);  // and the sanitizers are silent
  }
}

}  // namespace
}  // namespace tessera
