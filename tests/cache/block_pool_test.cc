#include "cache/block_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

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

TEST(BlockTable, AdoptsWhatOthersPublishedSinceIfAllOfItsOwnIsPublished) {
  BlockPool pool(8, 4);
  BlockTable first(pool), second(pool);
  ASSERT_TRUE(first.reserve(12) && second.reserve(6));  // the second has a block too many
  first.publish(range(0, 4));
  second.publish(range(0, 4));
  first.publish(range(0, 12));
  EXPECT_EQ(second.adopt_prefix(range(0, 20)), 12);
  EXPECT_EQ(second.published_serial(), first.published_serial());
  EXPECT_EQ(second.blocks()[2], first.blocks()[2]);
  EXPECT_EQ(pool.available(), 8 - 4);  // the first's three, and the second's own first one
}

TEST(BlockTable, AForkSharesBlocksUntilSomebodyWrites) {
  BlockPool pool(8, 4);
  BlockTable table(pool);
  ASSERT_TRUE(table.reserve(7));  // one full block, and one with three tokens
  table.publish(range(0, 7));
  BlockTable fork = table.fork(7);
  EXPECT_EQ(pool.available(), 6);
  EXPECT_TRUE(std::ranges::equal(fork.blocks(), table.blocks()));

  std::optional<BlockTable::Copy> copy;
  ASSERT_TRUE(fork.own(7, copy));
  ASSERT_TRUE(copy.has_value());
  EXPECT_EQ(copy->from, table.blocks()[1]);
  EXPECT_EQ(copy->to, fork.blocks()[1]);
  EXPECT_EQ(fork.blocks()[0], table.blocks()[0]);
  EXPECT_EQ(pool.available(), 5);

  copy.reset();  // nobody shares it any more
  ASSERT_TRUE(table.own(7, copy) && fork.own(7, copy));
  EXPECT_FALSE(copy.has_value());
}

// A fork that goes on before the end of a full block must not write to what others can find.
TEST(BlockTable, APublishedBlockIsNeverWrittenTo) {
  BlockPool pool(8, 4);
  BlockTable table(pool);
  ASSERT_TRUE(table.reserve(8));
  table.publish(range(0, 8));
  BlockTable fork = table.fork(7);
  EXPECT_EQ(fork.published_tokens(), 4);
  table.clear();
  std::optional<BlockTable::Copy> copy;
  ASSERT_TRUE(fork.own(7, copy));
  ASSERT_TRUE(copy.has_value());
  BlockTable other(pool);
  EXPECT_EQ(other.adopt_prefix(range(0, 9)), 8) << "what was published is still there";
}

TEST(BlockTable, AForkSaysWhenThePoolHasNoBlockToCopyTo) {
  BlockPool pool(2, 4);
  BlockTable table(pool);
  ASSERT_TRUE(table.reserve(6));
  BlockTable fork = table.fork(6);
  std::optional<BlockTable::Copy> copy;
  EXPECT_FALSE(fork.own(6, copy));
  EXPECT_FALSE(copy.has_value());
}

TEST(BlockTable, ASaltIsARootOfItsOwn) {
  BlockPool pool(8, 4);
  EXPECT_EQ(pool.root(""), kRootSerial);
  EXPECT_EQ(pool.root("red"), pool.root("red"));
  EXPECT_NE(pool.root("red"), pool.root("blue"));
  BlockTable red(pool, pool.root("red")), red_too(pool, pool.root("red")),
      blue(pool, pool.root("blue")), plain(pool);
  ASSERT_TRUE(red.reserve(4));
  red.publish(range(0, 4));
  EXPECT_EQ(red_too.adopt_prefix(range(0, 5)), 4);
  EXPECT_EQ(blue.adopt_prefix(range(0, 5)), 0);
  EXPECT_EQ(plain.adopt_prefix(range(0, 5)), 0);
}

TEST(BlockPool, AVariantIsARootOfItsOwnForEverySalt) {
  BlockPool pool(8, 4);
  std::vector<BlockSerial> roots = {pool.root(""), pool.root("", "a"), pool.root("a"),
                                    pool.root("a", "a"), pool.root("", "aa"), pool.root("aa"),
                                    // Whatever a salt spells, it is no variant.
                                    pool.root("1:a"), pool.root("0:", "a"), pool.root("2:aa")};
  EXPECT_EQ(pool.root("a", "a"), roots[3]);
  std::ranges::sort(roots);
  EXPECT_EQ(std::ranges::adjacent_find(roots), roots.end());
}

TEST(BlockPool, ForgetsTheSaltUsedLeastRecently) {
  BlockPool pool(1, 4);
  const auto first = pool.root("first"), second = pool.root("second");
  for (size_t i = 2; i < BlockPool::kMaxSalts; ++i) pool.root(std::to_string(i));
  EXPECT_EQ(pool.root("first"), first);
  pool.root("one more");
  EXPECT_EQ(pool.root("first"), first);
  EXPECT_NE(pool.root("second"), second);
}

TEST(BlockTable, SlotsFollowTheBlocks) {
  BlockPool pool(4, 4);
  BlockTable table(pool);
  ASSERT_TRUE(table.reserve(8));
  EXPECT_EQ(table.slot(6), table.blocks()[1] * 4 + 2);
}

}  // namespace
}  // namespace tessera
