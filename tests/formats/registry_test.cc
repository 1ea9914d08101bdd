// The table of formats: lookups, sizes, errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <string>

#include "base/error.h"
#include "formats/format.h"
#include "support/error_of.h"

namespace tessera {
namespace {

using testing::HasSubstr;

TEST(Registry, NamesAreUnique) {
  std::set<std::string_view> names;
  for (const Format* known : all_formats()) {
    const Format& format = *known;
    EXPECT_TRUE(names.insert(format.name).second) << format.name;
    EXPECT_GT(format.block_elements, 0u);
    EXPECT_GT(format.block_bytes, 0u);
    if (format.encode != nullptr) {
      EXPECT_TRUE(format.supported()) << format.name;
    }
  }
}

TEST(Registry, FindsEveryFormatByName) {
  for (const Format* known : all_formats()) {
    EXPECT_EQ(find_format(known->name), known);
  }
}

TEST(Registry, NamesAreMatchedWithoutRegardToCase) {
  EXPECT_EQ(find_format("q4_k"), &kQ4_K);
  EXPECT_EQ(find_format("iQ4_nL"), &kIQ4_NL);
  EXPECT_EQ(find_format("bf16"), &kBF16);
}

TEST(Registry, UnknownFormatsAreNull) {
  EXPECT_EQ(find_format("Q4"), nullptr);
  EXPECT_EQ(find_format("Q4_K_M"), nullptr);
  EXPECT_EQ(find_format(""), nullptr);
}

TEST(Registry, SizesAreThoseOfGgml) {
  struct Row {
    const Format* format;
    uint32_t elements, bytes;
  };
  const Row rows[] = {
      {&kF32, 1, 4},       {&kF16, 1, 2},      {&kBF16, 1, 2},       {&kQ4_0, 32, 18},
      {&kQ4_1, 32, 20},    {&kQ5_0, 32, 22},   {&kQ5_1, 32, 24},     {&kQ8_0, 32, 34},
      {&kQ2_K, 256, 84},   {&kQ3_K, 256, 110}, {&kQ4_K, 256, 144},   {&kQ5_K, 256, 176},
      {&kQ6_K, 256, 210},  {&kIQ4_NL, 32, 18}, {&kIQ4_XS, 256, 136}, {&kMXFP4, 32, 17},
      {&kTQ1_0, 256, 54},  {&kTQ2_0, 256, 66}, {&kQ1_0, 128, 18},    {&kQ2_0, 64, 18},
      {&kNVFP4, 64, 36},   {&kIQ1_S, 256, 50}, {&kIQ1_M, 256, 56},   {&kIQ2_XXS, 256, 66},
      {&kIQ2_XS, 256, 74}, {&kIQ2_S, 256, 82}, {&kIQ3_XXS, 256, 98}, {&kIQ3_S, 256, 110},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(row.format->block_elements, row.elements) << row.format->name;
    EXPECT_EQ(row.format->block_bytes, row.bytes) << row.format->name;
    EXPECT_TRUE(row.format->supported()) << row.format->name;
  }
}

TEST(Registry, RowBytesCountsWholeBlocks) {
  EXPECT_EQ(kQ4_K.row_bytes(512), 288u);
  EXPECT_EQ(kQ8_0.row_bytes(0), 0u);
  EXPECT_EQ(kF32.row_bytes(3), 12u);
}

TEST(Registry, RowBytesOfAPartialBlockIsAnError) {
  const std::string error = error_of([] { kQ4_K.row_bytes(300); });
  EXPECT_THAT(error, HasSubstr("300"));
  EXPECT_THAT(error, HasSubstr("Q4_K"));
  EXPECT_THAT(error, HasSubstr("256"));
}

TEST(Registry, RowBytesThatOverflowAreAnError) {
  EXPECT_THROW(kF32.row_bytes(std::numeric_limits<uint64_t>::max()), Error);
}

TEST(Registry, UnsupportedFormatsAreKnownByNameAndSizeOnly) {
  for (const char* name : {"Q8_1", "Q8_K", "F64", "I8", "I16", "I32", "I64", "I2_S"}) {
    const Format* format = find_format(name);
    ASSERT_NE(format, nullptr) << name;
    EXPECT_FALSE(format->supported()) << name;
    EXPECT_THAT(error_of([&] { require_format(name); }), HasSubstr(name));
  }
}

TEST(Registry, FormatsThatAreOnlyReadHaveNoEncoder) {
  for (const char* name : {"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S"}) {
    EXPECT_EQ(require_format(name).encode, nullptr) << name;
  }
}

TEST(Registry, RequireFormatNamesWhatItDoesNotKnow) {
  EXPECT_EQ(&require_format("q8_0"), &kQ8_0);
  EXPECT_THAT(error_of([] { require_format("Q9_Z"); }), HasSubstr("Q9_Z"));
}

}  // namespace
}  // namespace tessera
