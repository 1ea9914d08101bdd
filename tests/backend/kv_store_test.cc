// What a KV store may be; that it keeps what is written, attention_test.cc tells.
#include "backend/cpu/attention.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"

namespace tessera::cpu {
namespace {

TEST(KvStoreTest, RefusesShapesThatMakeNoSense) {
  const auto allocate = [](KvShape shape) { return allocate_kv(shape); };
  EXPECT_THROW(allocate({0, 1, 64, 1}), Error);
  EXPECT_THROW(allocate({1, 0, 64, 1}), Error);
  EXPECT_THROW(allocate({1, 1, 64, 0}), Error);
  EXPECT_THROW(allocate({1, 1, 63, 1}), Error);
  EXPECT_THROW(allocate({1, 1, -2, 1}), Error);
  EXPECT_THROW(allocate({1, 1, 1 << 20, 1}), Error);
  EXPECT_THROW(allocate({1, 1, 48, 1, KvFormat::kQ8_0}), Error);
  constexpr int kHuge = std::numeric_limits<int>::max();
  EXPECT_THROW(allocate({kHuge, kHuge, 64, kHuge}), Error);
  EXPECT_NO_THROW(allocate({1, 1, 40, 1}));
}

TEST(KvStoreTest, UntouchedCapacityCostsNoMemory) {
  // 64 GB of reservation, more than the machine may have: only what is written is resident.
  const auto kv = allocate_kv({32, 8, 128, 16384});
  EXPECT_EQ(kv->shape.blocks, 16384);
}

}  // namespace
}  // namespace tessera::cpu
