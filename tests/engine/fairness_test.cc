// What one client may do to another in a step, in admission and in memory.
#include <algorithm>

#include "engine/scheduler_support.h"

namespace tessera {
namespace {

class Fairness : public SchedulerTest {
 protected:
  Fairness()
      : SchedulerTest(400, {.context = 4096,
                            .rows = 512,
                            .wanted_rows = 128,
                            .sequences = 100,
                            .prompt_rows = 128,
                            .draft_budget = 0}) {}

  std::shared_ptr<Sequence> ask(const std::string& client, int prompt, int max_tokens) {
    Request request{.prompt = tokens(prompt, next_token_ += 10'000), .max_tokens = max_tokens};
    request.client = client;
    return add(std::move(request));
  }
  std::shared_ptr<Sequence> embed(const std::string& client, int prompt) {
    Request request{.prompt = tokens(prompt, next_token_ += 10'000)};
    request.client = client;
    request.pooling = Pooling::kMean;
    return add(std::move(request));
  }
  static int rows_of_client(const std::vector<Scheduler::Share>& shares,
                            const std::string& client) {
    int rows = 0;
    for (const auto& share : shares) {
      if (share.sequence->request.client == client) rows += share.rows();
    }
    return rows;
  }
  void cancel_all() {
    for (const auto* queue : {&scheduler_.waiting(), &scheduler_.running()})
      for (const auto& sequence : *queue) sequence->finished = FinishReason::kCancelled;
    for (const auto& sequence : scheduler_.running()) sequence->blocks.clear();
    step();
  }
  // Steps until `sequence` has its first token.
  int steps_to_token(const Sequence& sequence) {
    int steps = 0;
    for (; sequence.generated() == 0 && steps < 10'000; ++steps) step();
    return steps;
  }

  int next_token_ = 0;
};

TEST_F(Fairness, WhateverOthersAskTheStepsOfAnAnswerStaySmall) {
  constexpr int kWeights = ClientShares::kWeightRows;
  for (const int others : {1, 2, 5}) {
    const auto stream = ask("stream", 5, 2000);
    step();
    for (int i = 0; i < others; ++i) {
      const std::string name = "crowd " + std::to_string(i);
      for (int j = 0; j < 20; ++j) ask(name, 10, 3000);
      for (int j = 0; j < 5; ++j) ask(name, 2000, 3000);
      for (int j = 0; j < 5; ++j) embed(name, 2850);
    }
    for (int i = 0; i < 200; ++i) {
      const auto shares = step();
      ASSERT_EQ(rows_of(shares, *stream), 1);
      int rows = 0;
      for (const auto& share : shares) rows += share.rows();
      // A step of R rows takes about as long as kWeights + R rows.
      EXPECT_LE(kWeights + rows, (1 + others) * (kWeights + 1));
      EXPECT_GT(rows, 1);  // and the others advance
    }
    cancel_all();
  }
}

TEST_F(Fairness, WhoIsAloneHasTheWholeStep) {
  for (int i = 0; i < 64; ++i) ask("alone", 5, 100);
  step();
  EXPECT_EQ(rows_of_client(step(), "alone"), 64);
  const auto prompt = ask("alone", 1000, 1);
  EXPECT_EQ(rows_of(step(), *prompt), 128 - 128 % kBlockTokens);
}

TEST_F(Fairness, ClientsWithManyAnswersEachDoNotHinderEachOther) {
  for (int i = 0; i < 40; ++i) ask("a", 5, 100), ask("b", 5, 100);
  step();
  const auto shares = step();
  EXPECT_EQ(rows_of_client(shares, "a"), 40);
  EXPECT_EQ(rows_of_client(shares, "b"), 40);
}

TEST_F(Fairness, PromptsOfAClientAdvanceBesideItsAnswers) {
  ask("stream", 5, 3000);
  step();
  for (int i = 0; i < 30; ++i) ask("crowd", 10, 3000);
  for (int i = 0; i < 30; ++i) step();
  const auto prompt = ask("crowd", 200, 1);
  EXPECT_LT(steps_to_token(*prompt), 200);
}

TEST_F(Fairness, AShortRequestHasItsTokenSoonWhateverAnotherHasQueued) {
  for (int kind = 0; kind < 3; ++kind) {
    SCOPED_TRACE(kind);
    for (int i = 0; i < 128; ++i) {
      if (kind == 0) embed("crowd", 2850);  // 90 blocks each: four hold all
      if (kind == 1) ask("crowd", 10, 4000);
      if (kind == 2) ask("crowd", 1, 4000);
    }
    for (int i = 0; i < 20; ++i) step();
    EXPECT_LE(steps_to_token(*ask("other", 5, 1)), 2);
    EXPECT_LE(steps_to_token(*ask("third", 300, 1)), 8);
  }
}

// Long answers hold all blocks for thousands of steps; who has had less meanwhile need not wait for
// their end.
TEST_F(Fairness, WhoAsksAgainAndAgainDoesNotWaitForLongAnswersToEnd) {
  for (const int prompt : {10, 1000}) {
    SCOPED_TRACE(prompt);
    const std::string crowd = "crowd " + std::to_string(prompt);
    for (int i = 0; i < 40; ++i) ask(crowd, prompt, 4090 - prompt);
    for (int i = 0; i < 3000; ++i) step();
    int longest = 0;
    for (int i = 0; i < 60; ++i) {
      const auto one = ask("one " + std::to_string(prompt), 30, 100);
      longest = std::max(longest, steps_to_token(*one));
      while (one->finished == FinishReason::kNone) step();
    }
    EXPECT_LE(longest, 520);  // an eighth of the longest text, and a little
    cancel_all();
  }
}

// Of one client, what came first goes on: it does not take turns with itself.
TEST_F(Fairness, AClientsLongAnswersAreNotPreemptedForItsOwn) {
  std::vector<std::shared_ptr<Sequence>> all;
  for (int i = 0; i < 10; ++i) all.push_back(ask("alone", 10, 4000));
  while (all[1]->finished == FinishReason::kNone) step();
  EXPECT_EQ(all[0]->statistics.preemptions, 0);
  EXPECT_EQ(all[1]->statistics.preemptions, 0);
}

TEST_F(Fairness, PromptRowsAreSharedAmongClients) {
  for (int i = 0; i < 20; ++i) ask("crowd", 60, 1), embed("crowd", 61);
  const auto one = embed("other", 3000);
  step();
  const auto shares = step();
  // Half is the oldest prompt's, whosever it is; of the rest each has its part.
  EXPECT_GE(rows_of(shares, *one), 512 / 4 - kBlockTokens);
}

TEST_F(Fairness, TheYoungestOfAnotherClientGivesWay) {
  std::vector<std::shared_ptr<Sequence>> crowd;
  for (int i = 0; i < 100; ++i) crowd.push_back(ask("crowd", 10, 3000));  // all places
  for (int i = 0; i < 50; ++i) step();
  ASSERT_EQ(scheduler_.running().size(), 100u);
  const auto one = ask("other", 10, 20);
  step();
  EXPECT_TRUE(one->running);
  EXPECT_FALSE(crowd.back()->running);
  EXPECT_EQ(crowd.front()->statistics.preemptions, 0);
  while (one->finished == FinishReason::kNone) step();
  step();
  EXPECT_TRUE(crowd.back()->running);  // and has its place again
  EXPECT_EQ(scheduler_.statistics().preemptions, 1u);
}

// Nobody gives way to one who could not start all the same.
TEST_F(Fairness, NobodyIsPreemptedInVain) {
  const auto old = ask("old", 3500, 500);  // 125 blocks
  for (int i = 0; i < 70; ++i) step();
  std::vector<std::shared_ptr<Sequence>> crowd;
  for (int i = 0; i < 3; ++i) crowd.push_back(ask("crowd", 2500, 200));  // 85 blocks each
  for (int i = 0; i < 300; ++i) step();
  ASSERT_TRUE(old->running);
  EXPECT_EQ(scheduler_.statistics().preemptions, 0u);
}

// Random clients, priorities, lengths and arrivals: everything ends, whoever is first advances.
TEST_F(Fairness, EverythingEnds) {
  uint32_t state = 1;
  const auto draw = [&](int most) {
    state = state * 1664525 + 1013904223;
    return static_cast<int>((state >> 8) % static_cast<uint32_t>(most));
  };
  std::vector<std::shared_ptr<Sequence>> all;
  for (int round = 0; round < 60; ++round) {
    for (int i = draw(8); i > 0; --i) {
      Request request{.prompt = tokens(1 + draw(1500), next_token_ += 10'000)};
      request.client = std::string(1, static_cast<char>('a' + draw(5)));
      request.priority = draw(5) - 2;
      if (draw(4) == 0) {
        request.pooling = Pooling::kMean;
      } else {
        request.max_tokens = 1 + draw(400);
      }
      all.push_back(add(std::move(request)));
    }
    for (int i = draw(20); i > 0; --i) step();
  }
  std::pair<int64_t, int64_t> first;
  int progress = -1;
  for (int steps = 0;; ++steps) {
    ASSERT_LT(steps, 100'000);
    if (step().empty()) break;
    if (scheduler_.running().empty()) continue;
    const Sequence& now = *scheduler_.running().front();
    const int its = now.computed + now.generated();
    if (now.rank() == first && now.finished == FinishReason::kNone) {
      EXPECT_GT(its, progress);
    }
    first = now.rank();
    progress = its;
  }
  for (const auto& sequence : all) EXPECT_NE(sequence->finished, FinishReason::kNone);
  EXPECT_EQ(pool_.available(), pool_.capacity());
}

}  // namespace
}  // namespace tessera
