// Where memory runs out in a step, the rest of the answers come, as they would have.
#include <gtest/gtest.h>

#include <new>

#include "engine/engine.h"
#include "files/gguf/reader.h"
#include "support/model_runner.h"
#include "support/random_drafter.h"
#include "support/run_to_end.h"
#include "support/sampled_request.h"
#include "support/short_memory.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using test::ShortMemory;

// Runs out of memory at the third time that it is asked, or told.
class FailingDrafter final : public Drafter {
 public:
  FailingDrafter(std::vector<Token> answer, bool proposing)
      : drafter_(std::move(answer)), proposing_(proposing) {}
  void propose(std::span<DraftRequest> requests, const StepPlan& plan) override {
    if (proposing_ && ++calls == 3) throw std::bad_alloc();
    drafter_.propose(requests, plan);
  }
  void observe(std::span<const Observation>, StepRows&) override {
    if (!proposing_ && ++calls == 3) throw std::bad_alloc();
  }
  int calls = 0;

 private:
  RandomDrafter drafter_;
  bool proposing_;
};

class ShortMemoryTest : public testing::Test {
 protected:
  ShortMemoryTest()
      : backend_(std::make_shared<ShortMemory>(make_test_backend(2))),
        model_(open(), backend_, {.context = 0, .rows = 48, .wanted_rows = 16}),
        engine_(model_, {.kv_blocks = 64}, [](Token) { return false; }) {}

  static std::shared_ptr<const GgufFile> open() {
    static const test::TempFolder folder;
    return std::make_shared<const GgufFile>(GgufFile::open(write_tiny_model({}, folder.path())));
  }
  static Request request(uint32_t seed, int prompt = 5) {
    return sampled_request(random_tokens(prompt, 300, seed), 30, seed);
  }
  std::vector<Token> alone(const Request& r) {
    Engine engine(model_, {.kv_blocks = 64}, [](Token) { return false; });
    const auto sequence = engine.add(r);
    run_to_end(engine);
    return sequence->tokens;
  }

  std::shared_ptr<ShortMemory> backend_;
  Model model_;
  Engine engine_;
};

TEST_F(ShortMemoryTest, TheNewestSequenceGivesWay) {
  const auto first_expected = alone(request(1)), second_expected = alone(request(2));
  const auto first = engine_.add(request(1)), second = engine_.add(request(2));
  engine_.step();
  backend_->most_rows = 10;
  const auto newest = engine_.add(request(3, 40));
  run_to_end(engine_);
  EXPECT_EQ(newest->finished, FinishReason::kFailed);
  EXPECT_THROW(std::rethrow_exception(newest->failure), std::bad_alloc);
  EXPECT_EQ(first->tokens, first_expected);
  EXPECT_EQ(second->tokens, second_expected);
  EXPECT_EQ(engine_.pool().available(), engine_.pool().capacity());
  backend_->most_rows = 0;
  const auto hopeless = engine_.add(request(4));
  run_to_end(engine_);
  EXPECT_EQ(hopeless->finished, FinishReason::kFailed);
}

TEST_F(ShortMemoryTest, DraftsGiveWayBeforeAnybody) {
  const auto expected = alone(request(1));
  const auto sequence = engine_.add(request(1));
  sequence->drafter = std::make_shared<RandomDrafter>(expected);
  engine_.step();
  backend_->most_rows = 4;
  run_to_end(engine_);
  EXPECT_EQ(sequence->tokens, expected);
  EXPECT_GT(sequence->statistics.accepted, 0);
}

TEST_F(ShortMemoryTest, ADrafterThatFailsCostsDraftsOnly) {
  for (const bool proposing : {true, false}) {
    const auto expected = alone(request(1));
    const auto first = engine_.add(request(1)), second = engine_.add(request(2));
    const auto drafter = std::make_shared<FailingDrafter>(expected, proposing);
    first->drafter = second->drafter = drafter;
    run_to_end(engine_);
    EXPECT_EQ(first->tokens, expected);
    EXPECT_EQ(second->tokens, alone(request(2)));
    EXPECT_EQ(drafter->calls, 3) << "it is not asked again";
  }
}

}  // namespace
}  // namespace tessera
