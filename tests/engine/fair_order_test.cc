// Whose turn it is: clients by turns, nobody for ever.
#include "engine/fair_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace tessera {
namespace {

class FairOrderTest : public testing::Test {
 protected:
  using SequencePtr = std::shared_ptr<Sequence>;

  SequencePtr enter(const std::string& client, int prompt, int max_tokens, int priority = 0) {
    Request request{.prompt = std::vector<Token>(prompt, 1), .max_tokens = max_tokens};
    request.client = client;
    request.priority = priority;
    auto sequence = std::make_shared<Sequence>(std::move(request), pool_, number_++);
    order_.enter(*sequence, here_.empty() ? nullptr : first().get());
    here_.push_back(sequence);
    return sequence;
  }
  SequencePtr first() const {
    return *std::ranges::min_element(here_, {}, [](const auto& s) { return s->rank(); });
  }
  void leave(const SequencePtr& sequence, int generated) {
    sequence->admitted = true;
    sequence->tokens.resize(sequence->prompt_size() + generated);
    std::erase(here_, sequence);
    order_.leave(*sequence);
  }

  BlockPool pool_{1, kBlockTokens};
  FairOrder order_;
  std::vector<SequencePtr> here_;
  int64_t number_ = 0;
};

TEST_F(FairOrderTest, OneClientsRequestsKeepTheOrderTheyCameIn) {
  std::vector<SequencePtr> sequences;
  for (int i = 0; i < 200; ++i) {
    sequences.push_back(enter("a", 1 + i * 37 % 500, i * 53 % 900));
    if (i % 3 == 0) leave(first(), i % 40);  // sooner than it might have
  }
  for (size_t i = 1; i < sequences.size(); ++i)
    EXPECT_LT(sequences[i - 1]->rank(), sequences[i]->rank());
}

TEST_F(FairOrderTest, WhoComesAnewIsBeforeWhatAnotherHasPiledUp) {
  for (const int many : {2, 128, 512}) {
    for (const auto& [prompt, answer] :
         {std::pair(1, 1), std::pair(2850, 0), std::pair(10, 4000), std::pair(300, 1)}) {
      SCOPED_TRACE(testing::Message() << many << " of " << prompt << " + " << answer);
      const std::string name = std::to_string(number_);
      std::vector<SequencePtr> pile;
      for (int i = 0; i < many; ++i) pile.push_back(enter("crowd" + name, prompt, answer));
      const auto one = enter("one" + name, 5, 1), other = enter("other" + name, 5, 1);
      EXPECT_LT(one->rank(), other->rank());
      // Each arrival counts as one token, each request of a client as 64 at least.
      const auto before =
          std::ranges::count_if(pile, [&](const auto& s) { return s->rank() < other->rank(); });
      EXPECT_LE(before, 1 + (many + 2) / 64);
      here_.clear();
    }
  }
}

TEST_F(FairOrderTest, ClientsAreServedByTurnsInTokens) {
  std::vector<SequencePtr> large, small;
  for (int i = 0; i < 10; ++i) large.push_back(enter("large", 1000, 0));
  for (int i = 0; i < 100; ++i) small.push_back(enter("small", 36, 0));
  // Before the k-th of 1064 tokens, as many tokens of the others.
  for (size_t k = 1; k < large.size(); ++k) {
    const auto before =
        std::ranges::count_if(small, [&](const auto& s) { return s->rank() < large[k]->rank(); });
    EXPECT_NEAR(static_cast<double>(before) * 100, static_cast<double>(k) * 1064, 200);
  }
}

TEST_F(FairOrderTest, WhatARequestDidNotTakeIsNotItsClients) {
  const auto modest = enter("modest", 10, 200), other = enter("other", 10, 200);
  leave(modest, 3);  // ended at once
  const auto next = enter("modest", 10, 200);
  EXPECT_LT(next->turn, other->turn + 64 + 10 + 3 + 10);
  leave(other, 200);
  const auto much = enter("other", 10, 200);
  EXPECT_GT(much->turn, next->turn);
}

TEST_F(FairOrderTest, ALongAnswerIsChargedAsItGrowsAndNotTwice) {
  const auto grow = [](const SequencePtr& sequence, int to) {
    sequence->admitted = true;
    sequence->tokens.resize(sequence->prompt_size() + to);
  };
  const auto long_one = enter("long", 10, 4000), usual = enter("usual", 10, 4000);
  grow(usual, 250);
  EXPECT_EQ(order_.charge(*usual), 0);  // as expected
  int64_t later = 0;
  for (int generated = 1; generated <= 3000; ++generated) {
    grow(long_one, generated);
    later += order_.charge(*long_one);
    EXPECT_GE(later, generated - 256);
    EXPECT_LE(later, generated + 256 + generated / 8);
  }
  leave(long_one, 3000);
  leave(usual, 250);
  // As if what they took had been known at first.
  EXPECT_EQ(enter("usual", 10, 1)->turn, usual->turn + 64 + 10 + 250);
  EXPECT_EQ(enter("long", 10, 1)->turn, long_one->turn + 64 + 10 + 3000);
}

TEST_F(FairOrderTest, HoweverManyClientsComeNobodyIsOvertakenForEver) {
  for (int i = 0; i < 20; ++i) enter("old", 500, 100);
  const auto last = enter("old", 500, 100);
  const auto background = enter("old", 5, 1, 1);
  int arrivals = 0;
  while (enter("new " + std::to_string(arrivals), 5, 1)->rank() < background->rank()) {
    ASSERT_LT(++arrivals, 100'000);
    if (here_.size() > 40) leave(first(), 1);  // the first goes, and another comes
  }
  EXPECT_GT(here_.back()->rank(), last->rank());
}

TEST_F(FairOrderTest, ClientsWhoAreDoneAreForgotten) {
  for (int i = 0; i < 5000; ++i) leave(enter("client " + std::to_string(i), 10, 10), 10);
  EXPECT_LE(order_.clients(), 200u);
}

}  // namespace
}  // namespace tessera
