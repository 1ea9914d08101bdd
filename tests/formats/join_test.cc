// A block that is taken apart and joined again is the same, byte for byte.
#include <gtest/gtest.h>

#include "formats/format.h"
#include "support/random_floats.h"

namespace tessera {
namespace {

TEST(Join, IsTheInverseOfSplit) {
  int formats = 0;
  for (const Format* format : all_formats()) {
    if (format->quantized == nullptr || format->quantized->join == nullptr) continue;
    ++formats;
    const QuantizedBlock& block = *format->quantized;
    for (unsigned seed = 1; seed <= 20; ++seed) {
      const std::vector<float> values = random_floats(format->block_elements, seed);
      std::vector<std::byte> bytes(format->block_bytes), again(format->block_bytes);
      format->encode(values, bytes.data(), {});
      BlockParts parts;
      block.split(reinterpret_cast<const uint8_t*>(bytes.data()), parts);
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_GE(parts.codes[i], block.lowest_code) << format->name;
        ASSERT_LE(parts.codes[i], block.last_code()) << format->name;
      }
      block.join(parts, reinterpret_cast<uint8_t*>(again.data()));
      ASSERT_EQ(bytes, again) << format->name;
    }
  }
  EXPECT_GE(formats, 15);
}

}  // namespace
}  // namespace tessera
