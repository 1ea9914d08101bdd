// A number format of one's own: this file alone makes it known to the program, which then encodes,
// decodes and multiplies it like those that come with it.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "base/error.h"
#include "devices/device.h"
#include "formats/bit_fields.h"
#include "formats/block_codec.h"
#include "formats/format.h"
#include "formats/scale_search.h"

namespace tessera {
namespace {

// TOY3, 14 bytes for 32 elements: f16 d; 12 bytes of codes, 3 bits each from the lowest bits up.
// x = d * (q - 4)
constexpr int kElements = 32, kBytes = 14;
constexpr IntegerLevels kLevels{-4, 3};

void split(const uint8_t* block, BlockParts& parts) {
  parts.d = load_u16(block);
  for (int i = 0; i < kElements; ++i) {
    const int bit = 3 * i, byte = 2 + bit / 8;
    const int after = byte + 1 < kBytes ? block[byte + 1] : 0;
    parts.codes[i] = ((block[byte] | (after << 8)) >> (bit % 8)) & 7;
  }
}

void encode(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<kElements, kBytes>(
      "TOY3", 4 * kF16Max, src, dst, importance,
      [](const BlockInput<kElements>& in, uint8_t* block) {
        const float d = search_scale_f16<kElements>(kLevels, in.x, in.weight, {-1.2f, 1.2f, 17});
        const Coder coder(kLevels, d, 0);
        store_f16(block, d);
        for (int i = 0; i < kElements; ++i) {
          const int bit = 3 * i, byte = 2 + bit / 8, bits = coder(in.x[i]) << (bit % 8);
          block[byte] |= static_cast<uint8_t>(bits & 0xff);
          if (bits > 0xff) block[byte + 1] |= static_cast<uint8_t>(bits >> 8);
        }
      });
}

constexpr QuantizedBlock kBlock = {.code_bits = 3,
                                   .zero_point = 4,
                                   .group = kElements,
                                   .scaling = BlockScaling::kF16,
                                   .split = split};
constinit const Format kToy3 = {.name = "TOY3",
                                .block_elements = kElements,
                                .block_bytes = kBytes,
                                .quantized = &kBlock,
                                .encode = encode};

// Once in this program, whichever test comes first.
const Format& toy() {
  if (find_format("toy3") == nullptr) add_format(kToy3);
  return require_format("toy3");
}

std::vector<float> decode(const Format& format, const std::vector<std::byte>& bytes) {
  std::vector<float> values(bytes.size() / format.block_bytes * format.block_elements);
  format.decode(bytes.data(), values);
  return values;
}

std::vector<std::byte> encode(const Format& format, const std::vector<float>& values) {
  std::vector<std::byte> bytes(format.row_bytes(values.size()));
  format.encode(values, bytes.data(), {});
  return bytes;
}

std::vector<float> gaussian(size_t count, unsigned seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(rng);
  return values;
}

TEST(ToyFormat, IsFoundByNameOnceItIsAdded) {
  EXPECT_EQ(&toy(), &kToy3);
  EXPECT_EQ(all_formats().back(), &kToy3);
  EXPECT_TRUE(kToy3.supported());
  EXPECT_THROW(add_format(kToy3), Error);  // the name is taken
}

TEST(ToyFormat, DecodesWhatItEncodes) {
  std::vector<float> values(96);  // each block has every level
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(static_cast<int>(i * 5 % 8) - 4) * std::exp2(i / 32 * 3.0f);
  }
  EXPECT_EQ(decode(toy(), encode(toy(), values)), values);
}

// A backend that has never heard of it.
TEST(ToyFormat, IsMultipliedByTheBackend) {
  constexpr int kRows = 50, kColumns = 288, kBatch = 5;
  const std::vector<std::byte> bytes = encode(toy(), gaussian(kRows * kColumns, 1));
  const std::vector<float> weights = decode(toy(), bytes);
  // Whole numbers up to 127 in each block of 32 are themselves as int8, so only the sums round.
  std::vector<float> x = gaussian(kBatch * kColumns, 2);
  for (size_t i = 0; i < x.size(); ++i) x[i] = i % 32 == 0 ? 127 : std::rint(20 * x[i]);

  const auto backend = open_cpu(2).backend;
  const Backend::WeightPart part = {&toy(), bytes, kRows};
  const auto matrix = backend->load_matrix({&part, 1}, kColumns);
  const Tensor in = backend->allocate(kBatch, kColumns);
  const Tensor out = backend->allocate(kBatch, kRows);
  backend->upload(x, in);
  backend->linear(*matrix, in, nullptr, out);
  const HostRows result = backend->download(out);

  for (int r = 0; r < kBatch; ++r) {
    for (int o = 0; o < kRows; ++o) {
      double exact = 0, magnitude = 0;
      for (int c = 0; c < kColumns; ++c) {
        const double product = double{weights[o * kColumns + c]} * x[r * kColumns + c];
        exact += product;
        magnitude += std::fabs(product);
      }
      ASSERT_NEAR(result.row(r)[o], exact, 1e-6 * magnitude) << "row " << r << ", output " << o;
    }
  }
}

}  // namespace
}  // namespace tessera
