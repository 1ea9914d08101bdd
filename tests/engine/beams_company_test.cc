// Beam searches that have to wait, or whose steps fail, beside other clients: nobody else notices.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "files/gguf/reader.h"
#include "support/model_runner.h"
#include "support/random_drafter.h"
#include "support/run_to_end.h"
#include "support/sampled_request.h"
#include "support/short_memory.h"
#include "support/slow_constraint.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using Sequences = std::vector<std::shared_ptr<Sequence>>;

class BeamsInCompany : public testing::Test {
 protected:
  static constexpr Token kEnd = 7;
  static constexpr int kWidth = 4;

  BeamsInCompany()
      : backend_(std::make_shared<test::ShortMemory>(make_test_backend(2))),
        model_(open(), backend_, {.context = 0, .rows = 48, .wanted_rows = 24}) {}

  static std::shared_ptr<const GgufFile> open() {
    static const test::TempFolder folder;
    return std::make_shared<const GgufFile>(GgufFile::open(write_tiny_model({}, folder.path())));
  }
  Engine engine() {
    return Engine(model_, {.kv_blocks = 100}, [](Token token) { return token == kEnd; });
  }
  // With `every`, each so many tokens the constraint waits for the gate.
  Request search(uint32_t seed, int every = 0) const {
    Request r = sampled_request(random_tokens(40, 300, seed), 24);
    r.client = "search";
    r.sampling.temperature = 0;
    r.beams.width = kWidth;
    if (every > 0) r.constraint = std::make_shared<test::SlowConstraint>(gate_, every);
    return r;
  }
  static Request other(uint32_t seed, int max_tokens = 30) {
    Request r = sampled_request(random_tokens(20, 300, seed), max_tokens, seed);
    r.client = "other " + std::to_string(seed);
    return r;
  }
  // What it is where nobody else is.
  const Sequences& alone(const Request& r) {
    Sequences& found = alone_[r.prompt];  // which is another one for each request of a test
    if (!found.empty()) return found;
    Engine e = engine();
    found = e.add_beams(r);
    run_to_end(e);
    return found;
  }
  void expect_as_alone(const Sequences& found) {
    const Sequences& expected = alone(found.front()->request);
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i]->tokens, expected[i]->tokens) << i;
      EXPECT_EQ(found[i]->score, expected[i]->score) << i;
      EXPECT_EQ(found[i]->finished, expected[i]->finished) << i;
    }
  }
  static void expect_all_returned(const Engine& e) {
    EXPECT_EQ(e.pool().available(), e.pool().capacity());
  }
  static bool is_running(const std::shared_ptr<Sequence>& sequence) {
    return sequence->finished == FinishReason::kNone;
  }
  static int beams_that_wait(const Sequences& found) {
    return static_cast<int>(
        std::ranges::count_if(found, [](const auto& beam) { return beam->mask_work != nullptr; }));
  }
  // So that no test depends on how quickly masks are found.
  static void step_with_masks(Engine& e, const Sequences& found) {
    ASSERT_TRUE(e.step());
    for (const auto& beam : found) {
      while (beam->mask_work != nullptr && !beam->mask_work->is_done()) std::this_thread::yield();
    }
  }
  // Runs a search up to its third token, for which all of its beams wait.
  void run_until_all_wait(Engine& e, const Sequences& found) {
    gate_->open();
    while (found.front()->generated() < 1) step_with_masks(e, found);
    gate_->close();
    while (beams_that_wait(found) < kWidth) ASSERT_TRUE(e.step());
    for (const auto& beam : found) ASSERT_EQ(beam->generated(), 2);
  }

  std::shared_ptr<test::Gate> gate_ = std::make_shared<test::Gate>();
  std::shared_ptr<test::ShortMemory> backend_;
  Model model_;
  std::map<std::vector<Token>, Sequences> alone_;
};

TEST_F(BeamsInCompany, NobodyWaitsForTheMasksOfASearch) {
  Engine e = engine();
  const auto slow = e.add_beams(search(1, 2));
  Sequences others;
  for (uint32_t seed = 2; seed < 5; ++seed) others.push_back(e.add(other(seed)));
  others[1]->drafter = std::make_shared<RandomDrafter>(alone(other(3)).front()->tokens);
  run_until_all_wait(e, slow);
  const auto late = e.add_beams(search(5));  // of the same client
  const auto stranger = e.add(other(6));
  const uint64_t before = e.statistics().steps;
  while (is_running(stranger) || std::ranges::any_of(others, is_running)) ASSERT_TRUE(e.step());
  EXPECT_LE(e.statistics().steps, before + 30 + 5) << "a token a step, behind the prompts";
  while (is_running(late.front())) ASSERT_TRUE(e.step());
  for (const auto& beam : slow) EXPECT_EQ(beam->generated(), 2) << "it waits";
  EXPECT_EQ(gate_->own_passes(), 0);
  gate_->open();
  run_to_end(e);
  expect_all_returned(e);
  expect_as_alone(slow);
  expect_as_alone(late);
  expect_as_alone({stranger});
  for (const auto& sequence : others) expect_as_alone({sequence});
}

// Not to its very end, where it has to be known whether a text was complete.
TEST_F(BeamsInCompany, NoStepFindsAMaskOfASearch) {
  for (const int every : {1, 2, 3}) {
    gate_->open();
    Engine e = engine();
    Request r = search(static_cast<uint32_t>(10 + every), every);
    r.ignore_eos = false;
    r.sampling.logit_bias[kEnd] = 4;
    r.beams.early_stopping = EarlyStopping::kYes;
    const auto found = e.add_beams(r);
    const auto stranger = e.add(other(20, 100));
    const int before = gate_->own_passes();
    while (is_running(found.front())) step_with_masks(e, found);
    EXPECT_EQ(gate_->own_passes(), before);
    EXPECT_TRUE(is_running(stranger)) << "there were two clients all the time";
    EXPECT_EQ(found.front()->finished, FinishReason::kStop);
    run_to_end(e);
    expect_as_alone(found);
    expect_as_alone({stranger});
  }
}

TEST_F(BeamsInCompany, ACancelledSearchAsksForNoMasks) {
  Engine e = engine();
  const auto slow = e.add_beams(search(21, 2));
  const auto stranger = e.add(other(22));
  run_until_all_wait(e, slow);
  e.cancel(*slow[2]);
  gate_->open();
  EXPECT_EQ(beams_that_wait(slow), 0) << "the thread that finds masks is there for others";
  run_to_end(e);
  for (const auto& beam : slow) EXPECT_EQ(beam->finished, FinishReason::kCancelled);
  expect_all_returned(e);
  expect_as_alone({stranger});
}

// Whatever fails in a step, at any place of a search, costs one client's answers at most.
TEST_F(BeamsInCompany, AStepThatFailsEndsOneSearchOrAnswerWhole) {
  int searches = 0, answers = 0;
  for (const bool is_newest : {false, true}) {
    for (int* failing : {&backend_->failing_steps, &backend_->failing_copies}) {
      for (int steps = 0; steps < 12; ++steps) {
        SCOPED_TRACE(testing::Message() << is_newest << ", " << steps);
        Engine e = engine();
        std::vector<Sequences> all;
        if (!is_newest) all.push_back(e.add_beams(search(31)));
        for (uint32_t seed = 32; seed < 34; ++seed) all.push_back({e.add(other(seed))});
        if (is_newest) all.push_back(e.add_beams(search(31)));
        for (int i = 0; i < steps; ++i) ASSERT_TRUE(e.step());
        *failing = 1;
        run_to_end(e);
        ASSERT_EQ(*failing, 0) << "it did fail";
        expect_all_returned(e);
        int failed = 0;
        for (const Sequences& found : all) {
          if (found.front()->finished != FinishReason::kFailed) {
            expect_as_alone(found);
            continue;
          }
          ++failed;
          ++(found.size() > 1 ? searches : answers);
          for (const auto& beam : found) {
            ASSERT_EQ(beam->finished, FinishReason::kFailed);
            EXPECT_THROW(std::rethrow_exception(beam->failure), std::bad_alloc);
          }
        }
        EXPECT_EQ(failed, 1);
      }
    }
  }
  EXPECT_GT(searches, 10);
  EXPECT_GT(answers, 10);
}

}  // namespace
}  // namespace tessera
