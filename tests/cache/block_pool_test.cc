#include "cache/block_pool.h"

#include <gtest/gtest.h>

#include <numeric>

#include "cache/block_table.h"

namespace tessera {
namespace {

std::vector<Token> range(int first, int count) {
  std::vector<Token> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

TEST(BlockPool, GivesEachBlockOnceAndTakesItBack) {
  BlockPool pool(3, 4);
  const auto a = pool.allocate(), b = pool.allocate(), c = pool.allocate();
  ASSERT_TRUE(a && b && c);
  EXPECT_NE(*a, *b);
  EXPECT_NE(*b, *c);
  EXPECT_EQ(pool.allocate(), std::nullopt);
  pool.release(*b);
  EXPECT_EQ(pool.available(), 1);
  EXPECT_EQ(pool.allocate(), b);
}

TEST(BlockPool, FindsAPublishedPrefixAfterRelease) {
  BlockPool pool(2, 4);
  const auto tokens = range(0, 4);
  const BlockId block = *pool.allocate();
  const BlockSerial serial = pool.publish(block, kRootSerial, tokens);
  pool.release(block);
  EXPECT_EQ(pool.available(), 2);
  const auto found = pool.find(kRootSerial, tokens);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->block, block);
  EXPECT_EQ(found->serial, serial);
  EXPECT_EQ(pool.available(), 1);  // in use again
}

TEST(BlockPool, TheSameTokensAfterAnotherPrefixAreAnotherBlock) {
  BlockPool pool(2, 4);
  const auto tokens = range(0, 4);
  const BlockId block = *pool.allocate();
  const BlockSerial serial = pool.publish(block, kRootSerial, tokens);
  EXPECT_FALSE(pool.find(serial, tokens));
  EXPECT_FALSE(pool.find(kRootSerial, range(1, 4)));
}

TEST(BlockPool, ForgetsTheLeastRecentlyUsedPrefixFirst) {
  BlockPool pool(2, 4);
  const BlockId first = *pool.allocate(), second = *pool.allocate();
  pool.publish(first, kRootSerial, range(0, 4));
  pool.publish(second, kRootSerial, range(10, 4));
  pool.release(first);
  pool.release(second);
  pool.release(pool.find(kRootSerial, range(0, 4))->block);  // the first is now the more recent
  EXPECT_EQ(pool.allocate(), second);
  EXPECT_TRUE(pool.find(kRootSerial, range(0, 4)));
  EXPECT_FALSE(pool.find(kRootSerial, range(10, 4)));
}

TEST(BlockPool, AForgottenParentNeverMatchesItsOldChildren) {
  BlockPool pool(2, 4);
  const BlockId parent = *pool.allocate(), child = *pool.allocate();
  const BlockSerial old_serial = pool.publish(parent, kRootSerial, range(0, 4));
  pool.publish(child, old_serial, range(4, 4));
  pool.release(parent);
  const BlockId reused = *pool.allocate();  // forgets the parent
  ASSERT_EQ(reused, parent);
  const BlockSerial new_serial = pool.publish(reused, kRootSerial, range(0, 4));
  EXPECT_NE(new_serial, old_serial);
  EXPECT_FALSE(pool.find(new_serial, range(4, 4)));
}

TEST(BlockTable, AdoptsFullBlocksAndLeavesOneTokenToCompute) {
  BlockPool pool(8, 4);
  {
    BlockTable table(pool);
    ASSERT_TRUE(table.reserve(8));
    table.publish(range(0, 8));
  }
  EXPECT_EQ(pool.available(), 8);
  BlockTable same(pool), longer(pool), other(pool);
  EXPECT_EQ(same.adopt_prefix(range(0, 8)), 4);  // not 8: the last token's logits are wanted
  EXPECT_EQ(longer.adopt_prefix(range(0, 9)), 8);
  EXPECT_EQ(other.adopt_prefix(range(1, 9)), 0);
  EXPECT_EQ(same.blocks()[0], longer.blocks()[0]);
}

TEST(BlockTable, PublishesOnlyFullBlocks) {
  BlockPool pool(4, 4);
  BlockTable table(pool), next(pool);
  ASSERT_TRUE(table.reserve(7));
  table.publish(range(0, 7));
  EXPECT_EQ(next.adopt_prefix(range(0, 12)), 4);
}

TEST(BlockTable, SaysWhenThePoolRanOutAndKeepsWhatItHas) {
  BlockPool pool(2, 4);
  BlockTable table(pool);
  EXPECT_FALSE(table.reserve(9));
  EXPECT_EQ(table.blocks().size(), 2u);
  table.clear();
  EXPECT_EQ(pool.available(), 2);
}

TEST(BlockTable, SlotsFollowTheBlocks) {
  BlockPool pool(4, 4);
  BlockTable table(pool);
  ASSERT_TRUE(table.reserve(8));
  EXPECT_EQ(table.slot(6), table.blocks()[1] * 4 + 2);
}

}  // namespace
}  // namespace tessera
