// Between the type ids of GGUF and number formats.
#include "files/gguf/types.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "support/error_of.h"

namespace tessera {
namespace {

TEST(GgufTypes, EveryFormatThatComesWithTesseraHasOne) {
  for (const Format* format : all_formats()) {
    EXPECT_EQ(gguf::format_of(gguf::type_of(*format)), format) << format->name;
  }
}

TEST(GgufTypes, IdsAreThoseOfGgml) {
  struct Row {
    const Format* format;
    uint32_t type;
  };
  const Row rows[] = {
      {&kF32, 0},   {&kF16, 1},     {&kBF16, 30},   {&kQ4_0, 2},   {&kQ4_1, 3},  {&kQ5_0, 6},
      {&kQ5_1, 7},  {&kQ8_0, 8},    {&kQ2_K, 10},   {&kQ3_K, 11},  {&kQ4_K, 12}, {&kQ5_K, 13},
      {&kQ6_K, 14}, {&kIQ4_NL, 20}, {&kIQ4_XS, 23}, {&kMXFP4, 39},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(gguf::type_of(*row.format), row.type) << row.format->name;
    EXPECT_EQ(gguf::format_of(row.type), row.format);
  }
}

TEST(GgufTypes, UnknownAndWithdrawnIdsAreNull) {
  EXPECT_EQ(gguf::format_of(4), nullptr);  // Q4_2
  EXPECT_EQ(gguf::format_of(12345), nullptr);
  EXPECT_EQ(gguf::format_of(std::numeric_limits<uint32_t>::max()), nullptr);
}

TEST(GgufTypes, FormatOfAnotherWorldHasNone) {
  const Format foreign = {.name = "TOY3", .block_elements = 32, .block_bytes = 14};
  EXPECT_THAT(error_of([&] { gguf::type_of(foreign); }), testing::HasSubstr("TOY3"));
}

}  // namespace
}  // namespace tessera
