// Who gets a place when there are not enough.
#include "base/places.h"

#include <gtest/gtest.h>

#include <vector>

namespace tessera {
namespace {

constexpr int kNoLimit = 1 << 20;

// As many as the client can get.
std::vector<Places::Place> take_all(Places& places, const std::string& client) {
  std::vector<Places::Place> taken;
  for (Places::Place place = places.enter(client); place; place = places.enter(client)) {
    taken.push_back(std::move(place));
  }
  return taken;
}

TEST(Places, OneClientLeavesRoomForTheNext) {
  for (const int most : {1, 2, 3, 8, 40, 512}) {
    Places places(most, kNoLimit);
    const auto first = take_all(places, "a");
    EXPECT_GE(static_cast<int>(first.size()), most * 3 / 4) << most;
    if (most < 4) continue;
    EXPECT_LT(static_cast<int>(first.size()), most);
    EXPECT_TRUE(places.are_scarce());
    const auto second = take_all(places, "b");
    EXPECT_FALSE(second.empty()) << most;
    if (most >= 16) {
      EXPECT_TRUE(places.enter("c"));
    }
  }
}

TEST(Places, AClientThatLeavesMakesRoom) {
  Places places(4, kNoLimit);
  auto taken = take_all(places, "a");
  EXPECT_EQ(taken.size(), 3u);
  EXPECT_EQ(places.taken(), 3);
  taken.pop_back();
  EXPECT_EQ(places.taken(), 2);
  EXPECT_TRUE(places.enter("a"));
  EXPECT_EQ(places.taken(), 2);
  taken.clear();
  EXPECT_EQ(places.taken(), 0);
  EXPECT_FALSE(places.are_scarce());
  EXPECT_EQ(take_all(places, "a").size(), 3u);
}

TEST(Places, AClientMayHaveALimitOfItsOwn) {
  Places places(100, 5);
  const auto first = take_all(places, "a"), second = take_all(places, "b");
  EXPECT_EQ(first.size(), 5u);
  EXPECT_EQ(second.size(), 5u);
}

TEST(Places, SeveralAtOnceCountAsSeveral) {
  Places places(100, kNoLimit);
  {
    const auto first = places.enter("a", 60);
    ASSERT_TRUE(first);
    EXPECT_EQ(first.count(), 60);
    EXPECT_FALSE(places.enter("a", 30));  // 90 are more than three times what would be left
    EXPECT_FALSE(places.enter("b", 41));  // there are not so many
    const auto second = places.enter("b", 20);
    EXPECT_TRUE(second);
    EXPECT_EQ(places.taken(), 80);
  }
  EXPECT_EQ(places.taken(), 0);
  EXPECT_TRUE(places.enter("a", 75));
  EXPECT_FALSE(places.enter("a", 101));
}

}  // namespace
}  // namespace tessera
