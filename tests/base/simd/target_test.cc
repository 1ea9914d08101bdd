#include "base/simd/target.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace tessera {
namespace {

TEST(Target, IsOneThatTheMachineHasAndCanBeCapped) {
  const std::vector<const char*> targets = available_targets();
  ASSERT_FALSE(targets.empty());
  for (const char* name : targets) {
    cap_target(name);
    EXPECT_STREQ(target_name(), name);
  }
  cap_target("");
  EXPECT_STREQ(target_name(), targets.front());
  EXPECT_THROW(cap_target("MMX"), Error);
}

}  // namespace
}  // namespace tessera
