// The thread that owns the engine: what goes wrong for one job is that job's alone.
#include "serve/loop/engine_loop.h"

#include <gtest/gtest.h>

#include <new>

#include "engine/session.h"
#include "support/failing_constraint.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera::serve {
namespace {

std::vector<Outcome> outcomes_of(Job& job) {
  std::vector<Outcome> outcomes(job.choices());
  while (!job.is_done()) {
    for (Update& update : job.wait(std::chrono::milliseconds(100))) {
      if (update.outcome) outcomes[update.choice] = *update.outcome;
    }
  }
  return outcomes;
}

TEST(EngineLoop, AnAllocationThatFailsCostsItsOwnAnswerOnly) {
  const test::TempFolder folder;
  const Session session =
      Session::load(write_tiny_model({}, folder.path()).string(), {.threads = 2});
  const auto engine = session.make_engine();
  Metrics metrics("tiny");
  EngineLoop loop(*engine, *session.tokenizer, metrics, 64);
  const auto choice = [](int fails_after) {
    JobChoice asked;
    asked.request.prompt = {1, 2, 3};
    asked.request.max_tokens = 30;
    asked.request.ignore_eos = true;
    if (fails_after >= 0)
      asked.request.constraint = std::make_shared<test::FailingConstraint>(fails_after);
    return asked;
  };
  const auto good = loop.submit({choice(-1), choice(-1)});
  const auto mixed = loop.submit({choice(0), choice(-1), choice(7)});
  for (const Outcome& outcome : outcomes_of(*good)) {
    EXPECT_EQ(outcome.finish_reason, "length");
    EXPECT_EQ(outcome.generated_tokens, 30);
  }
  const auto outcomes = outcomes_of(*mixed);
  EXPECT_EQ(outcomes[0].finish_reason, "error");
  EXPECT_NE(outcomes[0].error.find("memory"), std::string::npos);
  EXPECT_EQ(outcomes[1].finish_reason, "length");
  EXPECT_EQ(outcomes[2].finish_reason, "error");
  EXPECT_GT(outcomes[2].generated_tokens, 0);
  EXPECT_LT(outcomes[2].generated_tokens, 30);
  while (!loop.is_idle()) std::this_thread::yield();
  EXPECT_EQ(engine->pool().available(), engine->pool().capacity());
}

}  // namespace
}  // namespace tessera::serve
