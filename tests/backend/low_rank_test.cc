// What low-rank adapters add to a product, against plain loops.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "support/error_of.h"
#include "support/test_backend.h"

namespace tessera {
namespace {

std::vector<float> random_values(size_t count, uint32_t seed) {
  std::minstd_rand random(seed);
  std::uniform_real_distribution<float> value(-1, 1);
  std::vector<float> values(count);
  for (float& v : values) v = value(random);
  return values;
}

// A matrix's values as a format keeps them, and their bytes.
struct Stored {
  Stored(const Format& format, int rows, int columns, uint32_t seed)
      : format(&format),
        rows(rows),
        values(random_values(static_cast<size_t>(rows) * columns, seed)) {
    bytes.resize(format.row_bytes(values.size()));
    format.encode(values, bytes.data(), {});
    format.decode(bytes.data(), values);
  }
  Backend::WeightPart part() const { return {.format = format, .bytes = bytes, .rows = rows}; }

  const Format* format;
  int rows;
  std::vector<float> values;
  std::vector<std::byte> bytes;
};

struct Case {
  const Format* format;
  int columns;
  std::vector<int> parts;  // rows of each part of the matrix
  std::vector<int> ranks;  // of each part's pair; 0: none
};

class LowRankTest : public testing::Test {
 protected:
  std::vector<float> download(Tensor x) {
    std::vector<float> values;
    backend_->download(x).copy(values);
    return values;
  }
  std::shared_ptr<Backend> backend_ = make_test_backend(2);
};

TEST_F(LowRankTest, AddsBTimesATimesX) {
  constexpr int kRows = 9;
  for (const Case& c : {Case{&kF32, 64, {64}, {4}}, Case{&kF16, 24, {16, 8, 8}, {0, 2, 0}},
                        Case{&kBF16, 100, {96, 40, 40}, {16, 3, 17}},
                        Case{&kF32, 1500, {33, 33}, {1, 40}}, Case{&kF16, 7, {100, 100}, {0, 5}}}) {
    int rows = 0;
    for (const int part : c.parts) rows += part;
    const Stored weights(kF32, rows, c.columns, 1);
    std::vector<Backend::WeightPart> parts;
    size_t first_byte = 0;
    for (const int part : c.parts) {
      const size_t size = static_cast<size_t>(part) * c.columns * sizeof(float);
      parts.push_back({.format = &kF32,
                       .bytes = std::span(weights.bytes).subspan(first_byte, size),
                       .rows = part});
      first_byte += size;
    }
    const auto matrix = backend_->load_matrix(parts, c.columns);

    struct Pair {
      Stored down, up;
      int first_row;
      float scale;
    };
    std::vector<std::vector<Pair>> adapters(2);
    std::vector<std::unique_ptr<LowRank>> loaded;
    for (uint32_t a = 0; a < 2; ++a) {
      std::vector<Backend::LowRankDown> downs;
      std::vector<Backend::LowRankUp> ups;
      int first_row = 0;
      for (size_t p = 0; p < c.parts.size(); first_row += c.parts[p++]) {
        if (c.ranks[p] == 0) continue;
        const auto seed = static_cast<uint32_t>(10 * a + p + 2);
        adapters[a].push_back({Stored(*c.format, c.ranks[p], c.columns, seed),
                               Stored(*c.format, c.parts[p], c.ranks[p], seed + 100), first_row,
                               0.5f * static_cast<float>(p + 1)});
      }
      for (const Pair& pair : adapters[a]) {
        ups.push_back({pair.up.part(), pair.first_row, static_cast<int>(downs.size())});
        downs.push_back({pair.down.part(), pair.scale});
      }
      loaded.push_back(backend_->load_low_rank(downs, ups, rows, c.columns));
    }

    const std::vector<float> x = random_values(static_cast<size_t>(kRows) * c.columns, 77);
    const Tensor in = backend_->allocate(kRows, c.columns), out = backend_->allocate(kRows, rows);
    backend_->upload(x, in);
    const std::vector<int32_t> of_first = {0, 1, 2, 5, 8}, of_second = {2, 3, 4, 5};
    const std::vector<float> first_scales = {1, 2, -1, 0.5f, 3}, second_scales = {1, 1, 0.25f, 2};
    const LowRankRows added[] = {{loaded[0].get(), of_first, first_scales},
                                 {loaded[1].get(), of_second, second_scales}};
    backend_->linear(*matrix, in, nullptr, out, added);
    const std::vector<float> y = download(out);
    backend_->linear(*matrix, in, nullptr, out);
    const std::vector<float> plain = download(out);
    for (int r = 0; r < kRows; ++r) {
      for (int o = 0; o < rows; ++o) {
        const size_t at = static_cast<size_t>(r) * rows + static_cast<size_t>(o);
        double sum = 0, size = 0;
        for (int i = 0; i < c.columns; ++i) {
          const double term =
              static_cast<double>(weights.values[static_cast<size_t>(o) * c.columns + i]) *
              x[static_cast<size_t>(r) * c.columns + i];
          sum += term, size += std::abs(term);
        }
        bool any = false;
        for (size_t a = 0; a < 2; ++a) {
          const auto place = std::ranges::find(added[a].rows, r);
          if (place == added[a].rows.end()) continue;
          const double scale = added[a].scales[static_cast<size_t>(place - added[a].rows.begin())];
          for (const Pair& pair : adapters[a]) {
            if (o < pair.first_row || o >= pair.first_row + pair.up.rows) continue;
            any = true;
            for (int k = 0; k < pair.down.rows; ++k) {
              double t = 0;
              for (int i = 0; i < c.columns; ++i)
                t += static_cast<double>(pair.down.values[static_cast<size_t>(k) * c.columns + i]) *
                     x[static_cast<size_t>(r) * c.columns + i];
              const double b = pair.up.values[static_cast<size_t>(o - pair.first_row) *
                                                  static_cast<size_t>(pair.down.rows) +
                                              static_cast<size_t>(k)];
              const double term = scale * static_cast<double>(pair.scale) * b * t;
              sum += term, size += std::abs(term);
            }
          }
        }
        ASSERT_NEAR(y[at], sum, 1e-5 * size) << c.columns << " row " << r << " output " << o;
        if (!any) {
          ASSERT_EQ(y[at], plain[at]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace tessera
