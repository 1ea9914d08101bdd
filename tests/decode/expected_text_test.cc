#include "decode/expected_text.h"

#include <gtest/gtest.h>

#include <vector>

namespace tessera {
namespace {

using Tokens = std::vector<Token>;

const Tokens kText = {10, 11, 12, 13, 14, 15, 16, 17, 18, 19};

TEST(ExpectedText, CountsWhatCameInItsOrder) {
  EXPECT_EQ(count_predicted(kText, kText), 10);
  EXPECT_EQ(count_predicted(kText, Tokens{10, 11, 12}), 3) << "cut";
  EXPECT_EQ(count_predicted(kText, Tokens{10, 11, 99, 13, 14}), 4) << "replaced";
  EXPECT_EQ(count_predicted(kText, Tokens{10, 11, 97, 98, 99, 15, 16}), 4) << "three for three";
  EXPECT_EQ(count_predicted(kText, Tokens{10, 11, 98, 99, 12, 13}), 4) << "put in";
  EXPECT_EQ(count_predicted(kText, Tokens{10, 11, 15, 16, 17}), 4)
      << "left out: found a token late";
  EXPECT_EQ(count_predicted(kText, Tokens{1, 2, 3}), 0);
  EXPECT_EQ(count_predicted(kText, Tokens{}), 0);
  EXPECT_EQ(count_predicted(Tokens{}, kText), 0);
}

TEST(ExpectedText, NeverCountsMoreThanThereIs) {
  const Tokens same(100, 7);
  EXPECT_EQ(count_predicted(Tokens(10, 7), same), 10);
  EXPECT_EQ(count_predicted(same, Tokens(10, 7)), 10);
}

}  // namespace
}  // namespace tessera
