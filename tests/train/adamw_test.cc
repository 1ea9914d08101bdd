// What an optimizer remembers in 8 bits.
#include "train/adamw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "formats/dynamic_map.h"
#include "support/random_floats.h"

namespace tessera::train {
namespace {

TEST(DynamicBytesTest, KeepLargeAndSmallAlike) {
  std::vector<float> values(600);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto step = static_cast<float>(i);
    values[i] = (i % 2 == 0 ? 1.0f : -1.0f) * 3e-5f * std::pow(10.0f, -step / 120);
  }
  values[7] = 0;
  DynamicBytes bytes(values.size(), DynamicBytes::Signs::kBoth);
  bytes.write(0, values);
  std::vector<float> kept(values.size());
  bytes.read(0, kept);
  EXPECT_EQ(kept[0], values[0]);  // the largest of a block, and positive, is a code
  EXPECT_EQ(kept[7], 0);
  // From 0.1 to 1 of the largest are 64 steps, half as many in each power of ten below.
  for (size_t i = 0; i < values.size(); ++i) {
    const float largest = std::fabs(values[i / 256 * 256]), part = std::fabs(values[i]) / largest;
    float power = 1, steps = 64;
    for (; part < 0.1f * power && steps > 1; steps /= 2) power /= 10;
    EXPECT_NEAR(kept[i], values[i], 0.51f * 0.9f / steps * power * largest) << i;
  }
}

// Every value becomes the code that stands for what is nearest to it.
TEST(DynamicBytesTest, TakeTheNearest) {
  for (const auto& [signs, map] :
       {std::pair(DynamicBytes::Signs::kBoth, signed_dynamic_map()),
        std::pair(DynamicBytes::Signs::kPositive, unsigned_dynamic_map())}) {
    std::vector<float> values = random_floats(4096, 5), kept(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] *= std::pow(10.0f, -static_cast<float>(i % 9));
      if (signs == DynamicBytes::Signs::kPositive) values[i] = std::fabs(values[i]);
      if (i % DynamicBytes::kBlock == 0) values[i] = 8;  // the largest
    }
    DynamicBytes bytes(values.size(), signs);
    bytes.write(0, values);
    bytes.read(0, kept);
    for (size_t i = 0; i < values.size(); ++i) {
      float nearest = 100;
      for (const float value : map) {
        if (std::fabs(8 * value - values[i]) < std::fabs(nearest - values[i])) nearest = 8 * value;
      }
      const bool is_raised = signs == DynamicBytes::Signs::kPositive && nearest == 0;
      ASSERT_EQ(kept[i], is_raised ? 8 * map[1] : nearest) << values[i];
    }
  }
}

TEST(DynamicBytesTest, WhatIsDividedByDoesNotBecomeZero) {
  std::vector<float> values = {1, 1e-20f, 0};
  DynamicBytes bytes(values.size(), DynamicBytes::Signs::kPositive);
  bytes.write(0, values);
  bytes.read(0, values);
  EXPECT_EQ(values[0], 1);
  EXPECT_GT(values[1], 0);
  EXPECT_EQ(values[2], 0);
}

// Some steps with gradients that a number decides.
std::vector<float> stepped(int threads, bool restarts, bool eight_bits) {
  constexpr size_t kColumns = 5000;
  ThreadPool pool(threads);
  Parameter parameter("a", 7, kColumns), small("b", 1, 100);
  const AdamWOptions options{.eight_bits = eight_bits};
  AdamW adamw({&parameter, &small}, options), other({&parameter, &small}, options);
  AdamW* steps = &adamw;
  for (uint64_t step = 0; step < 6; ++step) {
    if (restarts && step == 3) {
      for (size_t i = 0; i < 2; ++i) {
        const auto from = adamw.memory(i), to = other.memory(i);
        for (size_t k = 0; k < from.size(); ++k) std::ranges::copy(from[k], to[k].begin());
      }
      other.set_steps(adamw.steps());
      steps = &other;
    }
    parameter.gradient = random_floats(parameter.values.size(), step);
    small.gradient = random_floats(small.values.size(), 100 + step);
    steps->step(pool, 0.01);
  }
  return parameter.values;
}

TEST(AdamWTest, EightBitsAreTheSameWithAnyThreadsAndBehindAStop) {
  const auto whole = stepped(1, false, true);
  EXPECT_EQ(stepped(3, false, true), whole);
  EXPECT_EQ(stepped(2, true, true), whole);
  const auto floats = stepped(2, true, false);
  EXPECT_NE(floats, whole);
  double error = 0, size = 0;
  for (size_t i = 0; i < whole.size(); ++i) {
    error += std::pow(whole[i] - floats[i], 2);
    size += std::pow(floats[i], 2);
  }
  EXPECT_LT(std::sqrt(error / size), 0.05);
}

TEST(AdamWTest, EightBitsTakeAQuarterOfTheMemory) {
  Parameter parameter("a", 64, 1024);
  const auto bytes = [&](bool eight_bits) {
    AdamW adamw({&parameter}, {.eight_bits = eight_bits});
    size_t sum = 0;
    for (const auto part : adamw.memory(0)) sum += part.size();
    return sum;
  };
  EXPECT_EQ(bytes(false), 8 * parameter.values.size());
  EXPECT_EQ(bytes(true), 2 * parameter.values.size() * (256 + 4) / 256);
}

}  // namespace
}  // namespace tessera::train
