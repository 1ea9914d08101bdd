#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

namespace tessera {
namespace {

class ThreadPoolTest : public ::testing::TestWithParam<int> {};

TEST_P(ThreadPoolTest, CallsEachIndexOnceOnAValidThread) {
  ThreadPool pool(GetParam());
  ASSERT_EQ(pool.threads(), GetParam());
  for (int count : {0, 1, 2, 7, 1000}) {
    std::vector<int> calls(count, 0);  // plain ints: the pool itself must order the accesses
    pool.parallel_for(count, [&](int index, int thread) {
      ASSERT_GE(thread, 0);
      ASSERT_LT(thread, GetParam());
      ++calls[index];
    });
    EXPECT_EQ(calls, std::vector<int>(count, 1)) << count;
  }
}

TEST_P(ThreadPoolTest, MakesOneCallsWritesVisibleToTheNext) {
  ThreadPool pool(GetParam());
  std::vector<int> values(64, 0);
  for (int round = 0; round < 300; ++round) {
    pool.parallel_for(64, [&](int i, int) { values[i] += 1; });
    pool.parallel_for(64, [&](int i, int) { values[63 - i] += 1; });
    if (round % 100 == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));  // workers fall asleep
  }
  EXPECT_EQ(std::accumulate(values.begin(), values.end(), 0), 64 * 600);
}

TEST_P(ThreadPoolTest, RethrowsAnExceptionAndStaysUsable) {
  ThreadPool pool(GetParam());
  for (int round = 0; round < 20; ++round) {
    EXPECT_THROW(pool.parallel_for(100,
                                   [&](int i, int) {
                                     if (i % 10 == 3) throw std::runtime_error("body failed");
                                   }),
                 std::runtime_error);
    std::atomic<int> sum{0};
    pool.parallel_for(10, [&](int i, int) { sum += i; });
    EXPECT_EQ(sum, 45);
  }
}

TEST_P(ThreadPoolTest, TimesItsSectionsWhenAsked) {
  ThreadPool pool(GetParam());
  std::atomic<int> sum{0};
  const auto run = [&](int count) { pool.parallel_for(count, [&](int i, int) { sum += i; }); };
  run(100);
  EXPECT_EQ(pool.parallel_time().sections, 0);
  EXPECT_EQ(pool.parallel_time().seconds, 0);
  pool.time_sections(true);
  for (const int count : {100, 1, 0, 50}) run(count);
  pool.time_sections(false);
  run(100);
  const ParallelTime time = pool.parallel_time();
  EXPECT_EQ(time.sections, 3);  // nothing to do is no section
  EXPECT_GT(time.seconds, 0);
  EXPECT_GE(time.waiting, 0);
  EXPECT_LE(time.waiting, time.seconds);
  EXPECT_GE(time.idle, 0);
  EXPECT_LE(time.idle, time.seconds);
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolTest, ::testing::Values(1, 2, 3, 16));

TEST(ThreadPool, ZeroMeansTheCoresOfThisProcess) {
  ThreadPool pool(0);
  EXPECT_GE(pool.threads(), 1);
}

}  // namespace
}  // namespace tessera
