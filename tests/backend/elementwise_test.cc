// Row operations against doubles, at sizes that leave every kind of rest; and the same bits for a
// row alone, in company, and on any number of threads.
#include "backend/cpu/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "base/error.h"
#include "base/simd/target.h"
#include "support/all_targets.h"
#include "support/random_floats.h"

namespace tessera::cpu {
namespace {

HostTensor as_tensor(Floats& x, int rows) {
  const int columns = static_cast<int>(x.size()) / rows;
  return {x.data(), rows, columns, columns};
}

void expect_near(double got, double expected, double relative, double absolute = 1e-7) {
  EXPECT_LE(std::abs(got - expected), relative * std::abs(expected) + absolute)
      << got << " is not near " << expected << " on " << target_name();
}

bool same_bits(const Floats& a, const Floats& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

const int kSizes[] = {1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 63, 64, 65, 100, 576, 1000};

TEST(ElementwiseTest, RmsNormDividesByTheRootMeanSquare) {
  on_all_targets([] {
    ThreadPool pool(2);
    for (int columns : kSizes) {
      Floats x = random_floats(static_cast<size_t>(3 * columns), 1), out(x.size());
      const Floats weight = random_floats(static_cast<size_t>(columns), 2);
      rms_norm(pool, as_tensor(x, 3), weight, 1e-5f, as_tensor(out, 3));
      for (int row = 0; row < 3; ++row) {
        double sum = 0;
        const auto at = [&](int i) { return static_cast<size_t>(row * columns + i); };
        for (int i = 0; i < columns; ++i) sum += static_cast<double>(x[at(i)]) * x[at(i)];
        const double root = std::sqrt(sum / columns + 1e-5);
        for (int i = 0; i < columns; ++i) {
          expect_near(out[at(i)], x[at(i)] / root * weight[static_cast<size_t>(i)], 1e-6);
        }
      }
      rms_norm(pool, as_tensor(x, 3), weight, 1e-5f, as_tensor(x, 3));
      EXPECT_TRUE(same_bits(x, out)) << "in place";
    }
  });
}

TEST(ElementwiseTest, LayerNormTakesTheMeanOffFirst) {
  on_all_targets([] {
    ThreadPool pool(2);
    for (int columns : kSizes) {
      Floats x = random_floats(static_cast<size_t>(3 * columns), 1), out(x.size());
      for (float& value : x) value += 5;  // a mean that is large beside the deviation
      const Floats weight = random_floats(static_cast<size_t>(columns), 2);
      const Floats bias = random_floats(static_cast<size_t>(columns), 3);
      for (const bool biased : {false, true}) {
        const auto added = biased ? std::span<const float>(bias) : std::span<const float>();
        layer_norm(pool, as_tensor(x, 3), weight, added, 1e-5f, as_tensor(out, 3));
        for (int row = 0; row < 3; ++row) {
          const auto at = [&](int i) { return static_cast<size_t>(row * columns + i); };
          double mean = 0, squares = 0;
          for (int i = 0; i < columns; ++i) mean += static_cast<double>(x[at(i)]) / columns;
          for (int i = 0; i < columns; ++i) squares += (x[at(i)] - mean) * (x[at(i)] - mean);
          const double root = std::sqrt(squares / columns + 1e-5);
          for (int i = 0; i < columns; ++i) {
            const auto column = static_cast<size_t>(i);
            const double expected = (x[at(i)] - mean) / root * weight[column] +
                                    (biased ? static_cast<double>(bias[column]) : 0.0);
            EXPECT_NEAR(out[at(i)], expected, 1e-5) << columns;
          }
        }
      }
      Floats in_place = x;
      layer_norm(pool, as_tensor(in_place, 3), weight, bias, 1e-5f, as_tensor(in_place, 3));
      EXPECT_TRUE(same_bits(in_place, out)) << "in place";
    }
  });
}

TEST(ElementwiseTest, RmsNormTakesEachGroupByItself) {
  ThreadPool pool(1);
  Floats x = random_floats(2 * 5 * 40, 3), grouped(x.size()), alone(x.size());
  const Floats weight = random_floats(40, 4);
  rms_norm(pool, as_tensor(x, 2), weight, 1e-6f, as_tensor(grouped, 2));
  rms_norm(pool, as_tensor(x, 10), weight, 1e-6f, as_tensor(alone, 10));
  EXPECT_TRUE(same_bits(grouped, alone));
}

Rope rope_of(int dimensions, bool interleaved, float magnitude = 1.0f) {
  Rope rope{dimensions, interleaved, magnitude, {}};
  for (int i = 0; i < dimensions / 2; ++i) {
    rope.frequency.push_back(
        std::pow(10000.0f, -2.0f * static_cast<float>(i) / static_cast<float>(dimensions)));
  }
  return rope;
}

TEST(ElementwiseTest, RopeRotatesPairsByPositionTimesFrequency) {
  on_all_targets([] {
    ThreadPool pool(2);
    for (bool interleaved : {false, true}) {
      for (auto [head_dim, dimensions] :
           {std::pair{64, 64}, {40, 40}, {80, 32}, {6, 2}, {256, 256}}) {
        const Rope rope_shape = rope_of(dimensions, interleaved, 1.25f);
        const std::vector<int32_t> positions{0, 1, 77, 4095, 131071, 1000000};
        const int rows = static_cast<int>(positions.size()), heads = 3;
        Floats x = random_floats(static_cast<size_t>(rows * heads * head_dim), 5);
        const Floats before = x;
        rope(pool, rope_shape, head_dim, positions, as_tensor(x, rows));
        for (int i = 0; i < rows * heads; ++i) {
          const size_t head = static_cast<size_t>(i * head_dim);
          const double position = positions[static_cast<size_t>(i / heads)];
          for (int pair = 0; pair < dimensions / 2; ++pair) {
            const size_t a = head + static_cast<size_t>(interleaved ? 2 * pair : pair);
            const size_t b = a + static_cast<size_t>(interleaved ? 1 : dimensions / 2);
            const double angle = position * rope_shape.frequency[static_cast<size_t>(pair)];
            const double c = 1.25 * std::cos(angle), s = 1.25 * std::sin(angle);
            expect_near(x[a], before[a] * c - before[b] * s, 1e-6, 1e-6);
            expect_near(x[b], before[b] * c + before[a] * s, 1e-6, 1e-6);
          }
          for (int d = dimensions; d < head_dim; ++d) {
            EXPECT_EQ(x[head + static_cast<size_t>(d)], before[head + static_cast<size_t>(d)]);
          }
        }
      }
    }
  });
}

TEST(ElementwiseTest, RopeRefusesDimensionsThatDoNotFit) {
  ThreadPool pool(1);
  Floats x(64);
  const std::vector<int32_t> positions{0};
  Rope wrong = rope_of(64, false);
  wrong.frequency.pop_back();
  EXPECT_THROW(rope(pool, wrong, 64, positions, as_tensor(x, 1)), Error);
  EXPECT_THROW(rope(pool, rope_of(64, false), 32, positions, as_tensor(x, 1)), Error);
}

TEST(ElementwiseTest, GatedActivationsAgreeWithTheirFormulas) {
  on_all_targets([] {
    ThreadPool pool(2);
    for (int columns : kSizes) {
      Floats gate = random_floats(static_cast<size_t>(2 * columns), 6, 4.0f);
      gate[0] = -100.0f;
      gate.back() = 100.0f;
      Floats up = random_floats(gate.size(), 7), out(gate.size());
      for (auto activation : {Activation::kSilu, Activation::kGelu, Activation::kGeluErf,
                              Activation::kRelu, Activation::kClampedSilu}) {
        gated(activation, as_tensor(gate, 2), as_tensor(up, 2), as_tensor(out, 2));
        for (size_t i = 0; i < gate.size(); ++i) {
          const double x = gate[i], u = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
          const double activated = activation == Activation::kSilu   ? x / (1 + std::exp(-x))
                                   : activation == Activation::kGelu ? x / (1 + std::exp(-2 * u))
                                   : activation == Activation::kGeluErf
                                       ? 0.5 * x * std::erfc(-x / std::sqrt(2.0))
                                       : std::max(x, 0.0);
          const double g = std::min(x, 7.0), factor = std::clamp(up[i], -7.0f, 7.0f) + 1.0f;
          const double expected = activation == Activation::kClampedSilu
                                      ? g / (1 + std::exp(-1.702 * g)) * factor
                                      : activated * up[i];
          expect_near(out[i], expected, 4e-6);
        }
        Floats in_place = gate;
        gated(activation, as_tensor(in_place, 2), as_tensor(up, 2), as_tensor(in_place, 2));
        EXPECT_TRUE(same_bits(in_place, out));
        if (activation == Activation::kClampedSilu) continue;  // gated only
        Floats alone = gate;
        activate(pool, activation, as_tensor(alone, 2));
        for (size_t i = 0; i < gate.size(); ++i) EXPECT_EQ(alone[i] * up[i], out[i]);
      }
    }
  });
}

TEST(ElementwiseTest, AddsScalesAndCaps) {
  on_all_targets([] {
    ThreadPool pool(2);
    for (int columns : kSizes) {
      Floats x = random_floats(static_cast<size_t>(2 * columns), 8, 30.0f);
      x[0] = 1e-4f;
      Floats into = random_floats(x.size(), 9), sum = into;
      add(pool, as_tensor(x, 2), as_tensor(sum, 2));
      for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(sum[i], into[i] + x[i]);

      Floats scaled = x, capped = x, same = x;
      scale_and_cap(pool, 1.7f, 0.0f, as_tensor(scaled, 2));
      scale_and_cap(pool, 0.5f, 30.0f, as_tensor(capped, 2));
      scale_and_cap(pool, 1.0f, 0.0f, as_tensor(same, 2));
      EXPECT_TRUE(same_bits(same, x));
      for (size_t i = 0; i < x.size(); ++i) {
        EXPECT_EQ(scaled[i], x[i] * 1.7f);
        expect_near(capped[i], 30 * std::tanh(0.5 * x[i] / 30), 1e-6);
      }
    }
  });
}

TEST(ElementwiseTest, NanStaysNan) {
  on_all_targets([] {
    ThreadPool pool(1);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (auto activation :
         {Activation::kSilu, Activation::kGelu, Activation::kGeluErf, Activation::kRelu}) {
      Floats gate(40, nan), up(40, 1.0f);
      gated(activation, as_tensor(gate, 1), as_tensor(up, 1), as_tensor(gate, 1));
      for (float x : gate) EXPECT_TRUE(std::isnan(x));
    }
    Floats x(40, nan);
    scale_and_cap(pool, 1.0f, 30.0f, as_tensor(x, 1));
    for (float value : x) EXPECT_TRUE(std::isnan(value));
  });
}

// Applies `operation` to all rows at once and to each alone: the bits must agree, and so must those
// of elements beside the rows.
void expect_rows_independent(
    int rows, int columns,
    const std::function<void(ThreadPool&, int first_row, HostTensor)>& operation) {
  const int stride = columns + 5;
  Floats start = random_floats(static_cast<size_t>(rows * stride), 10), alone = start;
  ThreadPool one(1);
  for (int row = 0; row < rows; ++row) {
    operation(one, row, {alone.data() + static_cast<size_t>(row) * stride, 1, columns, stride});
  }
  for (int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    Floats together = start;
    operation(pool, 0, {together.data(), rows, columns, stride});
    EXPECT_TRUE(same_bits(together, alone)) << rows << " x " << columns << ", " << threads;
  }
  for (int row = 0; row < rows; ++row) {
    for (int i = columns; i < stride; ++i) {
      const auto at = static_cast<size_t>(row * stride + i);
      EXPECT_EQ(alone[at], start[at]) << "written beside the row";
    }
  }
}

TEST(ElementwiseTest, RowsDependOnNeitherCompanyNorThreads) {
  on_all_targets([] {
    for (auto [rows, columns] : {std::pair{1, 70016}, {3, 9000}, {100, 576}, {700, 64}}) {
      const Floats weight = random_floats(64, 11);
      const Floats wide_weight = random_floats(static_cast<size_t>(columns), 12);
      Floats other = random_floats(static_cast<size_t>(rows * columns), 13);
      const auto rest = [&, width = columns](int first, int count) {
        return HostTensor{other.data() + static_cast<size_t>(first) * width, count, width, width};
      };
      const auto check = [&, r = rows, n = columns](auto operation) {
        expect_rows_independent(r, n, operation);
      };
      check([&](ThreadPool& pool, int, HostTensor x) { rms_norm(pool, x, wide_weight, 1e-5f, x); });
      check([&](ThreadPool& pool, int, HostTensor x) {
        layer_norm(pool, x, wide_weight, wide_weight, 1e-5f, x);
      });
      check([&](ThreadPool& pool, int, HostTensor x) { activate(pool, Activation::kGeluErf, x); });
      check([&](ThreadPool& pool, int, HostTensor x) { scale_and_cap(pool, 0.3f, 2.0f, x); });
      check([&](ThreadPool& pool, int, HostTensor x) { scale_and_cap(pool, 0.3f, 0.0f, x); });
      check([&](ThreadPool&, int first, HostTensor x) {
        gated(Activation::kSilu, x, rest(first, x.rows), x);
      });
      check([&](ThreadPool&, int first, HostTensor x) {
        gated(Activation::kGelu, x, rest(first, x.rows), x);
      });
      check([&](ThreadPool& pool, int first, HostTensor x) { add(pool, rest(first, x.rows), x); });
      if (columns % 64 != 0) continue;
      check([&](ThreadPool& pool, int, HostTensor x) { rms_norm(pool, x, weight, 1e-5f, x); });
      check([&](ThreadPool& pool, int first, HostTensor x) {
        std::vector<int32_t> positions;
        for (int row = 0; row < x.rows; ++row) positions.push_back(37 * (first + row));
        rope(pool, rope_of(48, true), 64, positions, x);
      });
    }
  });
}

}  // namespace
}  // namespace tessera::cpu
