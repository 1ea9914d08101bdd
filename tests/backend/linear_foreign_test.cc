// Linear of what foreign layouts are: columns in an order of their own, weights that meet floats.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "backend/cpu/elementwise.h"
#include "backend/cpu/linear.h"
#include "backend/linear_support.h"
#include "base/error.h"
#include "base/simd/target.h"

namespace tessera::cpu {
namespace {

std::vector<uint32_t> random_order(int columns, std::mt19937& rng) {
  std::vector<uint32_t> order(static_cast<size_t>(columns));
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::shuffle(order, rng);
  return order;
}

std::vector<float> gathered(const std::vector<float>& x, std::span<const uint32_t> order) {
  std::vector<float> result;
  for (size_t row = 0; row < x.size(); row += order.size()) {
    for (const uint32_t column : order) result.push_back(x[row + column]);
  }
  return result;
}

// Parts with an order, with another one, with none, of every kind of kernel: each is what it is
// with activations gathered beforehand, bit for bit.
TEST(LinearOrder, PartsMeetTheirInputsInTheirOwnOrders) {
  std::mt19937 rng(10);
  constexpr int kColumns = 512;
  const Format& grouped = grouped_format(kGroupedKinds[1]);
  const Format& fp8 = grouped_format({.codes = kE4M3, .f32_scales = true, .group = 128});
  Weights w = make_weights(
      {{&grouped, 37}, {&kQ4_K, 5}, {&grouped, 64}, {&kF16, 3}, {&fp8, 18}, {&grouped, 9}},
      kColumns, rng);
  const auto first = random_order(kColumns, rng), second = random_order(kColumns, rng);
  const std::span<const uint32_t> orders[] = {first, {}, second, second, first, first};
  for (size_t i = 0; i < w.parts.size(); ++i) w.parts[i].order = orders[i];
  for (int threads = 1; threads <= 3; ++threads) {
    ThreadPool pool(threads);
    const auto matrix = load_matrix(pool, w.parts, kColumns);
    for (const int rows : {1, 4, 21, 70}) {
      const std::vector<float> x = random_activations(rows, kColumns, rng);
      const std::vector<float> y = run_linear(pool, *matrix, x, rows);
      int output = 0;
      for (const Part& part : w.parts) {
        Part plain = part;
        plain.order = {};
        const auto alone = load_matrix(pool, {&plain, 1}, kColumns);
        const std::vector<float> piece =
            run_linear(pool, *alone, part.order.empty() ? x : gathered(x, part.order), rows);
        for (int r = 0; r < rows; ++r) {
          const auto from = y.begin() + r * w.rows + output;
          expect_same({from, from + part.rows}, rows_of(piece, r, 1, part.rows),
                      fmt::format("{} rows, output {}", rows, output));
        }
        output += part.rows;
      }
    }
  }
}

// The order is that of restore_order: weights that were put where they belong give the product.
TEST(LinearOrder, IsTheProductOfTheRestoredWeights) {
  std::mt19937 rng(11);
  ThreadPool pool(2);
  constexpr int kColumns = 256, kRows = 5;
  Weights w = make_weights({{&kF32, 40}}, kColumns, rng);
  const auto order = random_order(kColumns, rng);
  w.parts[0].order = order;
  restore_order(order, w.values);
  const std::vector<float> x = random_activations(kRows, kColumns, rng);
  const auto matrix = load_matrix(pool, w.parts, kColumns);
  expect_product(w, x, kRows, run_linear(pool, *matrix, x, kRows), "restored");
}

// Where all activations have one scale, an order of both weights and inputs changes no int8 code:
// the dots of blocks differ, but the sums are of integers and exact, so they are the same bits.
TEST(LinearOrder, ChangesNothingWhereScalesCoincide) {
  std::mt19937 rng(12);
  ThreadPool pool(2);
  constexpr int kColumns = 256, kRows = 6, kOutputs = 33;
  const GroupedKind kind = {.bits = 4, .zero_point = 8, .group = 256};
  std::vector<float> x(kRows * kColumns);
  for (float& value : x) value = rng() % 2 == 0 ? 127.0f : -127.0f;
  const auto order = random_order(kColumns, rng);
  std::vector<std::byte> plain, ordered;
  for (int o = 0; o < kOutputs; ++o) {
    std::vector<uint8_t> codes(kColumns), permuted(kColumns);
    for (uint8_t& code : codes) code = rng() % 16;
    for (size_t c = 0; c < permuted.size(); ++c) permuted[c] = codes[order[c]];
    std::vector<std::byte> block(kind.block_bytes());
    write_grouped_block(kind, 0.25f, 0, codes, block.data());
    plain.insert(plain.end(), block.begin(), block.end());
    write_grouped_block(kind, 0.25f, 0, permuted, block.data());
    ordered.insert(ordered.end(), block.begin(), block.end());
  }
  const Part as_is = {&grouped_format(kind), plain, kOutputs};
  Part in_order = {&grouped_format(kind), ordered, kOutputs};
  in_order.order = order;
  const auto a = run_linear(pool, *load_matrix(pool, {&as_is, 1}, kColumns), x, kRows);
  const auto b = run_linear(pool, *load_matrix(pool, {&in_order, 1}, kColumns), x, kRows);
  expect_same(a, b, "ordered");
}

TEST(LinearOrder, IsSharedByGateAndUpOrNot) {
  std::mt19937 rng(13);
  ThreadPool pool(2);
  constexpr int kColumns = 256, kHalf = 40;
  Weights w = make_weights({{&kQ4_1, kHalf}, {&kQ4_1, kHalf}}, kColumns, rng);
  const auto first = random_order(kColumns, rng), second = random_order(kColumns, rng);
  for (const auto& up_order : {first, second}) {
    w.parts[0].order = first;
    w.parts[1].order = up_order;
    const auto matrix = load_matrix(pool, w.parts, kColumns);
    for (const int rows : {1, 7}) {
      std::vector<float> x = random_activations(rows, kColumns, rng);
      std::vector<float> both = run_linear(pool, *matrix, x, rows);
      std::vector<float> expected(static_cast<size_t>(rows) * kHalf), result(expected.size());
      gated(Activation::kSilu, {both.data(), rows, kHalf, 2 * kHalf},
            {both.data() + kHalf, rows, kHalf, 2 * kHalf}, {expected.data(), rows, kHalf, kHalf});
      LinearScratch scratch;
      linear_gated(pool, scratch, *matrix, {x.data(), rows, kColumns, kColumns}, {},
                   Activation::kSilu, {result.data(), rows, kHalf, kHalf});
      expect_same(result, expected, fmt::format("{} rows", rows));
    }
  }
}

TEST(LinearOrder, OfOtherColumnsIsAnError) {
  std::mt19937 rng(14);
  ThreadPool pool(1);
  Weights w = make_weights({{&kQ8_0, 4}}, 64, rng);
  auto order = random_order(64, rng);
  w.parts[0].order = std::span(order).first(63);
  EXPECT_THROW(load_matrix(pool, w.parts, 64), Error);
  w.parts[0].order = order;
  EXPECT_NO_THROW(load_matrix(pool, w.parts, 64));
  order[3] = order[4];
  EXPECT_THROW(load_matrix(pool, w.parts, 64), Error);
  order[3] = 64;
  EXPECT_THROW(load_matrix(pool, w.parts, 64), Error);
}

// --- floats of 8 bits, and what is decoded

TEST(LinearFloats, DecodedOnesHaveTheBitsOfTheirF32Matrix) {
  std::mt19937 rng(15);
  ThreadPool pool(2);
  constexpr int kColumns = 512, kOutputs = 70;
  for (const GroupedKind& kind : kGroupedKinds) {
    const Format& format = grouped_format(kind);
    if (!meets_floats(format) || kind.codes != kInteger) continue;
    const Weights w = make_weights({{&format, kOutputs}}, kColumns, rng);
    const auto matrix = load_matrix(pool, w.parts, kColumns);
    const Part decoded = {&kF32, std::as_bytes(std::span(w.values)), kOutputs};
    const auto floats = load_matrix(pool, {&decoded, 1}, kColumns);
    for (const char* target : available_targets()) {
      cap_target(target);
      for (const int rows : {1, 3, 40}) {
        const std::vector<float> x = random_activations(rows, kColumns, rng);
        expect_same(run_linear(pool, *matrix, x, rows), run_linear(pool, *floats, x, rows),
                    fmt::format("{}, {} rows, {}", label(format), rows, target));
      }
      cap_target("");
    }
  }
}

TEST(LinearFloats, NanAndInfinitiesOfTheWeightsComeThrough) {
  std::mt19937 rng(16);
  ThreadPool pool(1);
  const std::pair<GroupedCodes, uint8_t> cases[] = {
      {kE4M3, uint8_t{0x7f}}, {kE4M3, uint8_t{0xff}}, {kE5M2, uint8_t{0x7e}}};
  for (const auto& [codes, nan] : cases) {
    const GroupedKind kind = {.codes = codes, .f32_scales = true, .group = 32};
    std::vector<uint8_t> row(32, uint8_t{0x38});
    std::vector<std::byte> bytes(2 * kind.block_bytes());
    write_grouped_block(kind, 1.0f, 0, row, bytes.data());
    row[7] = nan;
    write_grouped_block(kind, 1.0f, 0, row, bytes.data() + kind.block_bytes());
    const Part part = {&grouped_format(kind), bytes, 2};
    const auto matrix = load_matrix(pool, {&part, 1}, 32);
    const auto y = run_linear(pool, *matrix, random_activations(1, 32, rng), 1);
    EXPECT_TRUE(std::isfinite(y[0]));
    EXPECT_TRUE(std::isnan(y[1]));
  }
}

}  // namespace
}  // namespace tessera::cpu
