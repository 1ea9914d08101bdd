#include "base/assert.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

TEST(Assert, EndsTheProgramWhereAssertionsAreOn) {
#ifdef TESSERA_ASSERTIONS
  EXPECT_DEATH(TESSERA_ASSERT(1 + 1 == 3), "assert_test.cc:[0-9]+: assertion failed: 1 \\+ 1 == 3");
#else
  GTEST_SKIP() << "assertions are off in this build";
#endif
}

TEST(Assert, EvaluatesItsConditionOnlyWhereAssertionsAreOn) {
  int evaluations = 0;
  TESSERA_ASSERT(++evaluations == 1);
#ifdef TESSERA_ASSERTIONS
  EXPECT_EQ(evaluations, 1);
#else
  EXPECT_EQ(evaluations, 0);
#endif
}

}  // namespace
}  // namespace tessera
