// How `tessera serve` begins and ends.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "cli/program.h"

namespace tessera {
namespace {

class ServeTest : public test::ProgramTest {};

// A model that never comes, and a signal once signals are left to the one who waits for them.
TEST_F(ServeTest, ASignalEndsAServerThatLoads) {
  const std::string model = (folder_ / "endless").string();
  ASSERT_EQ(::mkfifo(model.c_str(), 0600), 0);
  for (const char* signal : {"TERM", "INT"}) {
    const auto outcome = run(
        "serve " + model + " --port 0 & pid=$!; " +
        "until grep -q 'SigBlk:.*4002' /proc/$pid/status || ! kill -0 $pid; do sleep 0.01; done; " +
        "kill -" + signal + " $pid; wait $pid; echo ended with $?; }",
        "set -m; { ");
    EXPECT_EQ(outcome.out, std::string("ended with ") + (*signal == 'T' ? "143\n" : "130\n"));
  }
}

}  // namespace
}  // namespace tessera
