#include "decode/guess_tree.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace tessera {
namespace {

// Each token must be larger than the one before.
class Ascending final : public Constraint {
 public:
  std::span<const uint64_t> allowed() override {
    mask_ = ~uint64_t{0} << (last_ + 1);
    return {&mask_, 1};
  }
  bool complete() override { return true; }
  void accept(Token token) override { last_ = token; }
  std::unique_ptr<Constraint> copy() const override { return std::make_unique<Ascending>(*this); }

 private:
  Token last_ = 3;
  uint64_t mask_ = 0;
};

GuessTree grown() {
  //  5 ── 7 ── 6      2 ── 9      4 ── 3, 8
  GuessTree tree;
  tree.tree = {.tokens = {5, 2, 7, 4, 6, 9, 3, 8}, .parents = {-1, -1, 0, -1, 2, 1, 3, 3}};
  tree.chances = {0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2};
  tree.claims = {0, 1, 2, 3, 4, 5, 6, 7};
  return tree;
}

TEST(Prune, DropsWhatIsForbiddenAndWhatHangsBelow) {
  GuessTree tree = grown();
  prune(tree, Ascending(), {});
  EXPECT_EQ(tree.tree.tokens, (std::vector<Token>{5, 7, 4, 8}));
  EXPECT_EQ(tree.tree.parents, (std::vector<int32_t>{-1, 0, -1, 2}));
  EXPECT_EQ(tree.chances, (std::vector<double>{0.9, 0.7, 0.6, 0.2}));
  EXPECT_EQ(tree.claims, (std::vector<int>{0, 2, 3, 7}));
}

TEST(Prune, LeavesWhatIsNotFoundOutInTime) {
  GuessTree tree = grown();
  prune(tree, Ascending(), Deadline::in(std::chrono::seconds(-1)));
  EXPECT_EQ(tree.tree.tokens, grown().tree.tokens);
}

// One that cannot be asked ahead.
class Blind final : public Constraint {
 public:
  std::span<const uint64_t> allowed() override { return {}; }
  bool complete() override { return true; }
  void accept(Token) override {}
};

TEST(Prune, LeavesAllWhereTheConstraintHasNoCopies) {
  GuessTree tree = grown();
  prune(tree, Blind(), {});
  EXPECT_EQ(tree.tree.tokens, grown().tree.tokens);
}

}  // namespace
}  // namespace tessera
