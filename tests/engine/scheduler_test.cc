// Who runs, with how many rows, and who has to wait.
#include "engine/scheduler_support.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

TEST_F(SchedulerTest, APromptTakesTheWholeStepWhenNobodyDecodes) {
  const auto sequence = add(300, 4);
  EXPECT_EQ(rows_of(step(), *sequence), 256);
  EXPECT_EQ(rows_of(step(), *sequence), 44);
  EXPECT_EQ(rows_of(step(), *sequence), 1);
}

TEST_F(SchedulerTest, EveryDecodingSequenceAdvancesWhileALongPromptIsComputed) {
  const auto decoding = add(5, 100);
  step();
  const auto prompt = add(600, 4, 2000);
  int steps = 0;
  for (; prompt->generated() == 0; ++steps) {
    const auto shares = step();
    EXPECT_EQ(rows_of(shares, *decoding), 1);
    EXPECT_LE(rows_of(shares, *prompt), limits_.prompt_rows);
  }
  EXPECT_GE(steps, 600 / limits_.prompt_rows);
}

TEST_F(SchedulerTest, HoweverManyPromptsComeAStepWithAnswersHasABoundedSize) {
  for (int i = 0; i < 3; ++i) add(5, 100, 100 * i);
  step();
  for (int i = 0; i < 5; ++i) add(300, 1, 2000 + 1000 * i);
  for (int i = 0; i < 20; ++i) {
    int rows = 0;
    for (const auto& share : step()) rows += share.rows();
    EXPECT_LE(rows, 3 + limits_.prompt_rows);
  }
}

TEST_F(SchedulerTest, AShortPromptNeedNotWaitForALongOneNorTheLongOneForever) {
  const auto decoding = add(5, 1000);
  step();
  const auto prompt = add(600, 4, 2000);
  step();
  const auto brief = add(20, 1, 5000);
  step();
  EXPECT_EQ(brief->generated(), 1);
  // However many short ones come, the long one advances.
  const int before = prompt->computed;
  for (int i = 0; i < 5; ++i) {
    add(60, 1, 10000 + 100 * i);
    step();
  }
  EXPECT_GE(prompt->computed - before, 5 * limits_.prompt_rows / 2);
}

TEST_F(SchedulerTest, ASharedPrefixIsComputedOnceEvenIfAllComeTogether) {
  std::vector<std::shared_ptr<Sequence>> sequences;
  for (int i = 0; i < 6; ++i) {
    sequences.push_back(add(100, 2));
    sequences.back()->tokens.push_back(7000 + i);  // their own last token
    sequences.back()->request.prompt = sequences.back()->tokens;
  }
  int rows = 0;
  for (;;) {
    const auto shares = step();
    if (shares.empty()) break;
    for (const auto& share : shares) rows += share.rows();
  }
  // 96 tokens once; the rest of each prompt, and the second token of each answer.
  EXPECT_EQ(rows, 96 + 6 * (5 + 1));
  EXPECT_EQ(sequences[3]->statistics.cached_tokens, 96);
  EXPECT_EQ(scheduler_.statistics().cached_tokens, 5u * 96);
}

TEST_F(SchedulerTest, TenantsWithDifferentSaltsShareNothing) {
  const auto plain = add(100, 1), red = add(100, 1, 0, 0, "red"),
             red_too = add(100, 1, 0, 0, "red"), blue = add(100, 1, 0, 0, "blue");
  while (!step().empty()) {
  }
  EXPECT_EQ(plain->statistics.cached_tokens, 0);
  EXPECT_EQ(red->statistics.cached_tokens, 0);
  EXPECT_EQ(red_too->statistics.cached_tokens, 96);
  EXPECT_EQ(blue->statistics.cached_tokens, 0);
}

TEST_F(SchedulerTest, PriorityMovesARequestAheadByABoundedNumberOfOthers) {
  for (int i = 0; i < limits_.sequences; ++i) add(5, 10, 100 * i);
  step();
  const auto usual = add(5, 1, 5000), urgent = add(5, 1, 6000, -1), unhurried = add(5, 1, 7000, 1);
  step();
  EXPECT_TRUE(urgent->admitted);  // the last of those who ran gave way
  ASSERT_EQ(scheduler_.waiting().size(), 3u);
  EXPECT_EQ(scheduler_.waiting().front()->statistics.preemptions, 1);
  EXPECT_EQ(scheduler_.waiting().back(), unhurried);
  EXPECT_EQ(*std::next(scheduler_.waiting().begin()), usual);
  // Each costs more than 64 tokens.
  for (int i = 0; i < kPriorityStep / 64 + 1; ++i) add(5, 1, 8000);
  EXPECT_NE(scheduler_.waiting().back(), unhurried);
}

TEST_F(SchedulerTest, TheYoungestIsPreemptedAndEverythingEnds) {
  std::vector<std::shared_ptr<Sequence>> sequences;
  for (int i = 0; i < 8; ++i) sequences.push_back(add(60, 900, 1000 * i));  // 30 blocks each, of 64
  int steps = 0;
  while (!step().empty()) {
    ASSERT_LT(++steps, 20000);
    EXPECT_TRUE(sequences[0]->finished != FinishReason::kNone || sequences[0]->running);
  }
  for (const auto& sequence : sequences) EXPECT_EQ(sequence->generated(), 900);
  EXPECT_EQ(sequences[0]->statistics.preemptions, 0);
  EXPECT_GT(scheduler_.statistics().preemptions, 0u);
  EXPECT_EQ(pool_.available(), pool_.capacity());
}

// A request of a better priority that would come at the very turn of an earlier one.
TEST_F(SchedulerTest, SequencesOfOneRankByPriorityDoNotBlockEachOther) {
  BlockPool small(16, kBlockTokens);
  Scheduler scheduler(small, limits_);
  Request request{.prompt = std::vector<Token>(100, 1), .max_tokens = 380};
  const auto first = std::make_shared<Sequence>(request, small, 0);
  scheduler.add(first);
  Request between{.prompt = std::vector<Token>(kPriorityStep - 64 - 100 - 256 - 64, 3),
                  .max_tokens = 0};
  const auto gone = std::make_shared<Sequence>(between, small, 1);
  scheduler.add(gone);
  request.priority = -1;
  request.prompt.front() = 2;
  const auto second = std::make_shared<Sequence>(request, small, 2);
  scheduler.add(second);
  ASSERT_EQ(second->rank().first, first->rank().first);
  gone->finished = FinishReason::kCancelled;
  for (int steps = 0; steps < 2000; ++steps) {
    auto shares = scheduler.begin();
    scheduler.end(shares);
    test::play(shares);
  }
  EXPECT_EQ(first->generated(), 380);
  EXPECT_EQ(second->generated(), 380);
}

}  // namespace
}  // namespace tessera
