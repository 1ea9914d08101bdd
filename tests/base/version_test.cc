#include "tessera/version.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace tessera {
namespace {

TEST(Version, IsOne) {
  EXPECT_EQ(TESSERA_VERSION, fmt::format("{}.{}.{}", TESSERA_VERSION_MAJOR, TESSERA_VERSION_MINOR,
                                         TESSERA_VERSION_PATCH));
  EXPECT_EQ(TESSERA_VERSION_NUMBER,
            TESSERA_VERSION_MAJOR * 10000 + TESSERA_VERSION_MINOR * 100 + TESSERA_VERSION_PATCH);
}

}  // namespace
}  // namespace tessera
