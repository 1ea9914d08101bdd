#include "cache/state_table.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "cache/block_table.h"

namespace tessera {
namespace {

constexpr int kBlock = 4;

std::vector<Token> text(int tokens) {
  std::vector<Token> result(static_cast<size_t>(tokens));
  std::iota(result.begin(), result.end(), 100);
  return result;
}

// A step that computes tokens [first, end) of a prompt into the table.
bool compute(BlockTable& table, int first, int end, bool keeps_before_end = false,
             bool is_prompt = true) {
  if (!table.reserve(end)) return false;
  if (!table.states.plan({.first = first,
                          .end = end,
                          .is_prompt = is_prompt,
                          .keeps_before_end = keeps_before_end}))
    return false;
  table.publish(std::span<const Token>(text(end)));
  return true;
}

TEST(StateTableTest, WithoutRecurrentLayersNothingIsAskedFor) {
  BlockPool pool(8, kBlock);
  BlockTable table(pool);
  EXPECT_TRUE(compute(table, 0, 10));
  EXPECT_FALSE(table.states.in_use());
  EXPECT_TRUE(table.states.chain_saves().empty());
  EXPECT_TRUE(table.can_fork(7));
}

TEST(StateTableTest, AStepWritesItsEndAndTheLastEndOfABlockBeforeIt) {
  BlockPool pool(8, kBlock, 6);
  BlockTable table(pool);
  ASSERT_TRUE(table.reserve(10));
  ASSERT_TRUE(table.states.plan({.first = 0, .end = 10, .is_prompt = true}));
  const auto saves = table.states.chain_saves();
  ASSERT_EQ(saves.size(), 2u);
  EXPECT_EQ(saves[0].row, 7);
  EXPECT_EQ(saves[1].row, 9);
  EXPECT_NE(saves[0].state, saves[1].state);
}

TEST(StateTableTest, AnotherTextGoesOnFromTheLastBlockWithAState) {
  BlockPool pool(16, kBlock, 6);
  {
    BlockTable table(pool);
    ASSERT_TRUE(compute(table, 0, 10));  // its state is behind token 8
  }
  BlockTable other(pool);
  const std::vector<Token> longer = text(16);
  EXPECT_EQ(other.adopt_prefix(longer), 8);
  EXPECT_TRUE(other.states.current().has_value());
  BlockTable shorter(pool);  // has whole blocks there, but no state
  EXPECT_EQ(shorter.adopt_prefix(text(8)), 0);
  EXPECT_FALSE(shorter.states.current().has_value());
}

TEST(StateTableTest, StatesOfBlocksGiveWayToThoseWhoGoOn) {
  BlockPool pool(16, kBlock, 3);
  {
    BlockTable table(pool);
    ASSERT_TRUE(compute(table, 0, 10));
  }
  EXPECT_EQ(pool.available_states(), 3);
  BlockTable table(pool);
  std::vector<Token> unlike(9, 7);
  ASSERT_TRUE(table.reserve(9));
  ASSERT_TRUE(table.states.plan({.first = 0, .end = 9, .is_prompt = true}));
  table.publish(unlike);
  EXPECT_TRUE(table.states.plan({.first = 9, .end = 10}));  // takes the first text's
  BlockTable second(pool), third(pool);
  EXPECT_TRUE(second.states.plan({.first = 0, .end = 1}));  // takes that of the block before
  EXPECT_FALSE(third.states.plan({.first = 0, .end = 1}));
  second.clear();
  EXPECT_TRUE(third.states.plan({.first = 0, .end = 1}));
}

TEST(StateTableTest, AForkSharesTheStateWhereItIs) {
  BlockPool pool(16, kBlock, 6);
  BlockTable table(pool);
  ASSERT_TRUE(compute(table, 0, 10, true));
  EXPECT_TRUE(table.can_fork(10));
  EXPECT_TRUE(table.can_fork(9));
  EXPECT_FALSE(table.can_fork(7));
  BlockTable fork = table.fork(9);
  EXPECT_EQ(fork.states.current(), table.states.at(9));
  table.clear();
  EXPECT_TRUE(fork.states.current().has_value());
  fork.clear();
  EXPECT_EQ(pool.available_states(), 6);
}

TEST(StateTableTest, OfATreeAsMuchIsKeptAsCounts) {
  BlockPool pool(16, kBlock, 6);
  BlockTable table(pool);
  ASSERT_TRUE(compute(table, 0, 6));
  ASSERT_TRUE(table.reserve(12));
  ASSERT_TRUE(table.states.plan({.first = 6, .end = 12, .is_tree = true}));
  const auto saves = table.states.path_saves(4);  // tokens 6 to 9: a block ends behind 7
  ASSERT_EQ(saves.size(), 2u);
  EXPECT_EQ(saves[0].row, 1);
  EXPECT_EQ(saves[1].row, 3);
  table.publish(std::span<const Token>(text(10)));
  EXPECT_EQ(table.states.current(), saves[1].state);
  ASSERT_TRUE(table.states.plan({.first = 10, .end = 12, .is_tree = true}));
  EXPECT_EQ(table.states.path_saves(1).size(), 1u);
}

TEST(StateTableTest, AStepThatCameToNothingLosesNothing) {
  BlockPool pool(16, kBlock, 4);
  BlockTable table(pool);
  ASSERT_TRUE(compute(table, 0, 6));
  const auto before = table.states.current();
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(table.states.plan({.first = 6, .end = 7}));
    EXPECT_NE(table.states.chain_saves()[0].state, *before);
  }
  table.publish(std::span<const Token>(text(6)));
  EXPECT_EQ(table.states.current(), before);
  table.clear();
  EXPECT_EQ(pool.available_states(), 4);
}

// A long answer does not push everybody else's states out.
TEST(StateTableTest, AnAnswerHoldsTheStateOfItsLastBlockOnly) {
  BlockPool pool(64, kBlock, 8);
  BlockTable table(pool);
  ASSERT_TRUE(compute(table, 0, 6));
  for (int end = 7; end <= 60; ++end) ASSERT_TRUE(compute(table, end - 1, end, false, false));
  table.clear();
  BlockTable longer(pool);
  EXPECT_EQ(longer.adopt_prefix(text(64)), 60);
  longer.clear();
  BlockTable shorter(pool);
  EXPECT_EQ(shorter.adopt_prefix(text(40)), 4);  // the prompt's
}

}  // namespace
}  // namespace tessera
