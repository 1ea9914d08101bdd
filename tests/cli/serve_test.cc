// How `tessera serve` begins and ends.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "cli/program.h"

namespace tessera {
namespace {

class ServeTest : public test::ProgramTest {};

// A chat template that never comes (a model has to be a file), and a signal once signals are left
// to the one who waits for them.
TEST_F(ServeTest, ASignalEndsAServerThatLoads) {
  const std::string pipe = (folder_ / "endless").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const auto outcome = run(
      "serve " + model_ + " --chat-template " + pipe +
          " --port 0 & pid=$!; "
          "until grep -q 'SigBlk:.*4002' /proc/$pid/status || ! kill -0 $pid; do sleep 0.01; done; "
          "kill -TERM $pid; wait $pid; echo ended with $?; }",
      "{ ");
  EXPECT_EQ(outcome.out, "ended with 143\n") << outcome.err;
}

}  // namespace
}  // namespace tessera
