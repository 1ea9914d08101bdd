// A scheduler whose model is played.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "engine/scheduler.h"

namespace tessera {
namespace test {

// The model's part of a step: to compute what was planned, to publish it, and to add a token.
inline void play(std::vector<Scheduler::Share>& shares) {
  for (const auto& share : shares) {
    Sequence& s = *share.sequence;
    const bool last = share.chunk == s.pending();
    s.computed += share.chunk;
    if (last && s.generates()) s.tokens.push_back(1000 + s.generated());
    s.blocks.publish(std::span(s.tokens).first(s.computed));
    const bool whole = s.is_embedding() ? s.pending() == 0 : s.generated() == s.request.max_tokens;
    if (!whole) continue;
    s.finished = FinishReason::kLength;
    s.blocks.clear();
  }
}

}  // namespace test

class SchedulerTest : public testing::Test {
 protected:
  explicit SchedulerTest(int blocks = 64, Scheduler::Limits limits = {.context = 1024,
                                                                      .rows = 256,
                                                                      .wanted_rows = 8,
                                                                      .sequences = 8,
                                                                      .prompt_rows = 64,
                                                                      .draft_budget = 0})
      : pool_(blocks, kBlockTokens), limits_(limits) {}

  std::shared_ptr<Sequence> add(Request request) {
    auto sequence = std::make_shared<Sequence>(std::move(request), pool_, number_++);
    scheduler_.add(sequence);
    return sequence;
  }
  std::shared_ptr<Sequence> add(int prompt, int max_tokens, int first_token = 0, int priority = 0,
                                const std::string& salt = "") {
    return add(Request{.prompt = tokens(prompt, first_token),
                       .max_tokens = max_tokens,
                       .priority = priority,
                       .cache_salt = salt});
  }
  static std::vector<Token> tokens(int count, int first) {
    std::vector<Token> tokens(count);
    std::iota(tokens.begin(), tokens.end(), first);
    return tokens;
  }
  // One step; how many rows each sequence had.
  std::vector<Scheduler::Share> step() {
    auto shares = scheduler_.begin();
    scheduler_.end(shares);
    test::play(shares);
    return shares;
  }
  static int rows_of(const std::vector<Scheduler::Share>& shares, const Sequence& sequence) {
    for (const auto& share : shares) {
      if (share.sequence.get() == &sequence) return share.rows();
    }
    return 0;
  }

  BlockPool pool_;
  Scheduler::Limits limits_;
  Scheduler scheduler_{pool_, limits_};
  int64_t number_ = 0;
};

}  // namespace tessera
