#include "base/simd/target.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

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

// Whether a process that began with TESSERA_TARGET=name takes it for all that the machine can do.
bool caps_everything_at(const std::string& name) {
  const std::vector<const char*> targets = available_targets();
  if (targets.front() != name) return false;
  cap_target(targets.back());
  if (target_name() != std::string(targets.back())) return false;
  cap_target("");
  return target_name() == name;
}

// The processes below begin anew, with the environment as it is when they do.
TEST(TargetDeathTest, TheEnvironmentsCapStaysWhateverATestChooses) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const std::vector<const char*> targets = available_targets();
  // From the last on: a process with a cap sees the same ones from there.
  for (size_t i = targets.size(); i-- > 0;) {
    const std::string name = targets[i];
    ::setenv("TESSERA_TARGET", name.c_str(), 1);
    EXPECT_EXIT(std::exit(caps_everything_at(name) ? 0 : 1), ::testing::ExitedWithCode(0), "")
        << name;
  }
  ::unsetenv("TESSERA_TARGET");
}

TEST(TargetDeathTest, AnUnknownNameInTheEnvironmentIsRefused) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto message_of_first_use = [] {
    try {
      choose_target();
    } catch (const Error& error) {
      std::fputs(error.what(), stderr);
      std::exit(1);
    }
    std::exit(0);
  };
  ::setenv("TESSERA_TARGET", "MMX", 1);
  EXPECT_EXIT(message_of_first_use(), ::testing::ExitedWithCode(1),
              "\"MMX\" is none of this program's instruction sets");
  ::unsetenv("TESSERA_TARGET");
}

}  // namespace
}  // namespace tessera
