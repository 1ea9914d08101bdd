#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <vector>

#include "decode/verify.h"

namespace tessera {
namespace {

constexpr int kVocabulary = 8;

// Logits whose greedy token of each row is given.
struct Rows {
  explicit Rows(const std::vector<Token>& greedy) : values(greedy.size() * kVocabulary) {
    for (size_t r = 0; r < greedy.size(); ++r) values[r * kVocabulary + greedy[r]] = 1;
  }
  HostRows tensor() {
    return {values.data(), static_cast<int>(values.size()) / kVocabulary, kVocabulary, kVocabulary};
  }
  std::vector<float> values;
};

TEST(Verify, OneNodeGivesOneToken) {
  Rows rows({3});
  Sampler sampler({.temperature = 0});
  const Verified verified =
      verify({.tokens = {1}, .parents = {-1}}, rows.tensor(), sampler, std::vector<Token>{1}, 1);
  EXPECT_EQ(verified.tokens, (std::vector<Token>{3}));
  EXPECT_EQ(verified.path, (std::vector<int32_t>{0}));
}

TEST(Verify, AcceptsTheLongestPathTheModelWouldHaveTaken) {
  // 0 -> {1: token 3 -> {3: token 5}, 2: token 4 -> {4: token 6 -> {5: token 7}}}
  const TokenTree tree{.tokens = {1, 3, 4, 5, 6, 7}, .parents = {-1, 0, 0, 1, 2, 4}};
  Rows rows(
      {4, 0, 6, 0, 2, 0});  // after the root 4, after that 6, after that 2, which nobody drafted
  Sampler sampler({.temperature = 0});
  const Verified verified = verify(tree, rows.tensor(), sampler, std::vector<Token>{1}, 1);
  EXPECT_EQ(verified.tokens, (std::vector<Token>{4, 6, 2}));
  EXPECT_EQ(verified.path, (std::vector<int32_t>{0, 2, 4}));
}

// Takes long at the third token.
class SlowAtTwo final : public Constraint, public ConstraintSource {
 public:
  std::unique_ptr<Constraint> start() const override { return std::make_unique<SlowAtTwo>(); }
  bool prepare(Deadline deadline) override { return count_ != 2 || !deadline.exists(); }
  std::span<const uint64_t> allowed() override { return all_; }
  bool complete() override { return true; }
  void accept(Token) override { ++count_; }

 private:
  int count_ = 0;
  std::vector<uint64_t> all_{~uint64_t{0}};
};

TEST(Verify, GoesNoFurtherThanTheConstraintIsKnown) {
  const TokenTree tree{.tokens = {1, 3, 4, 5}, .parents = {-1, 0, 1, 2}};
  Rows rows({3, 4, 5, 6});
  const std::vector<Token> prompt{1};
  for (const bool hurried : {false, true}) {
    Sampler sampler({.temperature = 0}, std::make_shared<SlowAtTwo>());
    const Deadline deadline = hurried ? Deadline::in(std::chrono::hours(1)) : Deadline();
    Verified verified = verify(tree, rows.tensor(), sampler, prompt, 1, deadline);
    EXPECT_EQ(verified.tokens,
              hurried ? std::vector<Token>({3, 4}) : std::vector<Token>({3, 4, 5, 6}));
    EXPECT_EQ(verified.path.size(), verified.tokens.size());
    EXPECT_EQ(verified.next_is_known, !hurried);
    if (!hurried) continue;
    verified = verify({.tokens = {4}, .parents = {-1}}, rows.tensor(), sampler,
                      std::vector<Token>{1, 3, 4}, 1, deadline);
    EXPECT_TRUE(verified.tokens.empty());
    EXPECT_FALSE(verified.next_is_known);
  }
}

}  // namespace
}  // namespace tessera
