#include "model/batch.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

TEST(Batch, AChainIsReadThroughTheBlockTable) {
  const std::vector<int32_t> table = {5, 2};
  const std::vector<Token> tokens = {7, 8, 9};
  Batch batch;
  batch.add_chain(tokens, 31, table);
  EXPECT_EQ(batch.positions, (std::vector<int32_t>{31, 32, 33}));
  EXPECT_EQ(batch.slots, (std::vector<int32_t>{5 * 32 + 31, 2 * 32, 2 * 32 + 1}));
  EXPECT_EQ(batch.contexts[1].direct, 33);
  EXPECT_TRUE(batch.contexts[1].tail.empty());
}

TEST(Batch, AChainIsATreeWithOneBranch) {
  const std::vector<int32_t> table = {0, 1}, parents = {-1, 0, 1};
  const std::vector<Token> tokens = {7, 8, 9};
  Batch chain, tree;
  chain.add_chain(tokens, 30, table);
  tree.add_tree(tokens, parents, 30, table);
  EXPECT_EQ(chain.positions, tree.positions);
  EXPECT_EQ(chain.slots, tree.slots);
  for (int r = 0; r < 3; ++r) {
    EXPECT_EQ(chain.contexts[r].direct, tree.contexts[r].direct);
    EXPECT_TRUE(tree.contexts[r].tail.empty());
  }
}

TEST(Batch, ATreeNodeSeesItsAncestorsWhereverTheyLie) {
  // 0 -> {1 -> 3, 2 -> 4}
  const std::vector<int32_t> table = {3}, parents = {-1, 0, 0, 1, 2};
  const std::vector<Token> tokens = {10, 11, 12, 13, 14};
  Batch batch;
  batch.add_tree(tokens, parents, 4, table);
  EXPECT_EQ(batch.positions, (std::vector<int32_t>{4, 5, 5, 6, 6}));
  EXPECT_EQ(batch.slots, (std::vector<int32_t>{100, 101, 102, 103, 104}));
  EXPECT_EQ(batch.contexts[1].direct, 6);  // in place
  EXPECT_EQ(batch.contexts[2].direct, 5);
  EXPECT_EQ(std::vector<int32_t>(batch.contexts[2].tail.begin(), batch.contexts[2].tail.end()),
            (std::vector<int32_t>{102}));
  EXPECT_EQ(batch.contexts[3].direct, 6);
  EXPECT_EQ(std::vector<int32_t>(batch.contexts[3].tail.begin(), batch.contexts[3].tail.end()),
            (std::vector<int32_t>{103}));
  EXPECT_EQ(batch.contexts[4].direct, 5);
  EXPECT_EQ(std::vector<int32_t>(batch.contexts[4].tail.begin(), batch.contexts[4].tail.end()),
            (std::vector<int32_t>{102, 104}));
}

}  // namespace
}  // namespace tessera
