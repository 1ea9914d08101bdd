// Attention against an oracle in doubles.
#include "backend/cpu/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "attention_support.h"

namespace tessera::cpu {
namespace {

using namespace attention_support;

// softmax(scale q K) V for one position, in doubles, from the rounded keys and values.
std::vector<double> oracle(const Case& c, const Sequence& s, const Floats& k, const Floats& v,
                           int position) {
  std::vector<double> out(static_cast<size_t>(c.columns()));
  const int first = c.chunk > 0    ? position - position % c.chunk
                    : c.window > 0 ? std::max(0, position - c.window + 1)
                                   : 0;
  const auto parameters = c.parameters();
  for (int h = 0; h < c.heads; ++h) {
    const int kv_column = h / (c.heads / c.kv_heads) * c.head_dim;
    const float* q = &s.q[static_cast<size_t>(position) * c.columns() + h * c.head_dim];
    std::vector<double> score;
    for (int j = first; j <= position; ++j) {
      double dot = 0;
      const float* key = &k[static_cast<size_t>(j) * c.kv_columns() + kv_column];
      for (int d = 0; d < c.head_dim; ++d) dot += static_cast<double>(q[d]) * key[d];
      dot *= parameters.scale;
      if (!c.slopes.empty()) dot -= c.slopes[static_cast<size_t>(h)] * (position - j);
      score.push_back(c.soft_cap > 0 ? c.soft_cap * std::tanh(dot / c.soft_cap) : dot);
    }
    const double max = *std::max_element(score.begin(), score.end());
    double sum = c.sinks == nullptr ? 0 : std::exp(c.sinks->values[static_cast<size_t>(h)] - max);
    for (double& x : score) sum += x = std::exp(x - max);
    for (int j = first; j <= position; ++j) {
      const float* value = &v[static_cast<size_t>(j) * c.kv_columns() + kv_column];
      for (int d = 0; d < c.head_dim; ++d) {
        out[static_cast<size_t>(h * c.head_dim + d)] +=
            score[static_cast<size_t>(j - first)] / sum * value[d];
      }
    }
  }
  return out;
}

double largest_error(const Floats& got, const std::vector<double>& expected) {
  double error = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(got[i] - expected[i]);
    if (!(difference <= error)) error = difference;  // a NaN stays
    if (std::isnan(error)) return error;
  }
  return error;
}

void expect_near_oracle(const Case& c) {
  SCOPED_TRACE(describe(c));
  ThreadPool pool(2);
  Sequence s(c, 7);
  const int blocks = (c.length + kBlockTokens - 1) / kBlockTokens;
  const auto table = block_table(blocks, 0, 3);
  const auto kv = poisoned_store(pool, c, blocks);
  write_sequence(pool, *kv, c, s, table, c.length);
  Floats k = s.k, v = s.v;
  for (int p = 0; p < c.length; ++p) {
    for (int h = 0; h < c.kv_heads; ++h) {
      const size_t at = static_cast<size_t>(p) * c.kv_columns() + h * c.head_dim;
      round_row(c.format, &k[at], c.head_dim);
      round_row(c.format, &v[at], c.head_dim);
    }
  }
  for (int p : {0, 1, c.length / 3, c.length / 2, c.length - 2, c.length - 1}) {
    if (p < 0 || p >= c.length) continue;
    const Floats out = attend_chunk(pool, *kv, c, s, table, p, p + 1);
    EXPECT_LE(largest_error(out, oracle(c, s, k, v, p)), 1e-5) << "position " << p;
  }
  // From the keys and values as given, what is off is the storage format.
  const Floats out = attend_chunk(pool, *kv, c, s, table, c.length - 1, c.length);
  EXPECT_LE(largest_error(out, oracle(c, s, s.k, s.v, c.length - 1)),
            c.format == KvFormat::kF16 ? 5e-3 : 5e-2);
}

TEST(AttentionTest, AgreesWithTheOracleForAllHeadShapes) {
  on_all_targets([] {
    for (auto [heads, kv_heads] : {std::pair{4, 4}, {6, 2}, {7, 1}, {16, 1}, {9, 3}, {12, 1}}) {
      for (int head_dim : {32, 64, 80, 128, 256}) {
        expect_near_oracle({heads, kv_heads, head_dim, 75});
      }
    }
  });
}

TEST(AttentionTest, AgreesWithTheOracleForUnevenHeadDimensions) {
  on_all_targets([] {
    for (int head_dim : {2, 6, 16, 40, 96, 112}) expect_near_oracle({4, 2, head_dim, 50});
  });
}

TEST(AttentionTest, AgreesWithTheOracleForAllContextLengths) {
  on_all_targets([] {
    for (int length : {1, 2, 31, 32, 33, 64, 65, 511, 512, 513, 1024, 1100, 2000}) {
      for (auto format : {KvFormat::kF16, KvFormat::kQ8_0}) {
        expect_near_oracle({6, 2, 64, length, format});
      }
    }
  });
}

TEST(AttentionTest, AgreesWithTheOracleWithSinks) {
  on_all_targets([] {
    const Sinks sinks(7);
    for (const int length : {1, 33, 600, 1300}) {
      for (const int window : {0, 100}) {
        expect_near_oracle({7, 1, 64, length, KvFormat::kF16, window, 0.0f, &sinks});
      }
    }
  });
}

TEST(AttentionTest, AgreesWithTheOracleForWindowsAndSoftCaps) {
  on_all_targets([] {
    for (int window : {1, 5, 32, 100, 512, 700}) {
      for (auto format : {KvFormat::kF16, KvFormat::kQ8_0}) {
        expect_near_oracle({4, 1, 64, 1300, format, window});
        expect_near_oracle({4, 2, 32, 90, format, window, 3.0f});
      }
    }
  });
}

TEST(AttentionTest, AgreesWithTheOracleForChunks) {
  on_all_targets([] {
    for (int chunk : {1, 5, 32, 100, 512, 700, 5000}) {
      for (auto format : {KvFormat::kF16, KvFormat::kQ8_0})
        expect_near_oracle({.length = 1300, .format = format, .chunk = chunk});
    }
  });
}

TEST(AttentionTest, AgreesWithTheOracleForSlopes) {
  on_all_targets([] {
    for (const KvFormat format : {KvFormat::kF16, KvFormat::kQ8_0})
      expect_near_oracle({.heads = 6,
                          .kv_heads = 3,
                          .length = 200,
                          .format = format,
                          .slopes = {0.5f, 0.25f, 0.125f, 0.0625f, 0.7f, 0.01f}});
  });
}

TEST(AttentionTest, AgreesWithTheOracleWithoutVectors) {
  cap_target(available_targets().back());
  for (auto format : {KvFormat::kF16, KvFormat::kQ8_0}) expect_near_oracle({6, 2, 32, 70, format});
  cap_target("");
}

TEST(AttentionTest, StridedTensorsAreReadAndWrittenInPlace) {
  const Case c{4, 2, 32, 40};
  ThreadPool pool(2);
  Sequence s(c, 5);
  const auto table = block_table(2, 0, 0);
  const auto kv = poisoned_store(pool, c, 2);
  write_sequence(pool, *kv, c, s, table, c.length);
  const Floats expected = attend_chunk(pool, *kv, c, s, table, 0, c.length);
  const int stride = c.columns() + 24;
  Floats wide(static_cast<size_t>(c.length) * stride, 99.0f);
  for (int p = 0; p < c.length; ++p) {
    std::copy_n(&s.q[static_cast<size_t>(p) * c.columns()], c.columns(),
                &wide[static_cast<size_t>(p) * stride + 8]);
  }
  const HostTensor view{wide.data() + 8, c.length, c.columns(), stride};
  std::vector<RowContext> contexts;
  for (int p = 0; p < c.length; ++p) contexts.push_back(direct_row(table, p));
  attend(pool, *kv, c.parameters(), view, contexts, view);  // out may be q: each row is its own
  for (int p = 0; p < c.length; ++p) {
    const float* row = &wide[static_cast<size_t>(p) * stride];
    EXPECT_EQ(row[7], 99.0f);
    EXPECT_EQ(row[8 + c.columns()], 99.0f);
    EXPECT_TRUE(
        same_bits(Floats(row + 8, row + 8 + c.columns()), part(expected, p, 1, c.columns())));
  }
}

TEST(AttentionTest, ANanInAVisibleKeyOrValueIsNotHidden) {
  on_all_targets([] {
    for (auto format : {KvFormat::kF16, KvFormat::kQ8_0}) {
      const Case c{2, 1, 32, 20, format};
      ThreadPool pool(1);
      for (bool in_key : {true, false}) {
        Sequence s(c, 5);
        (in_key ? s.k : s.v)[10 * 32 + 4] = std::numeric_limits<float>::quiet_NaN();
        const auto table = block_table(1, 0, 0);
        const auto kv = poisoned_store(pool, c, 1);
        write_sequence(pool, *kv, c, s, table, c.length);
        EXPECT_FALSE(std::isnan(attend_chunk(pool, *kv, c, s, table, 9, 10)[4]));
        EXPECT_TRUE(std::isnan(attend_chunk(pool, *kv, c, s, table, 10, 11)[4]))
            << describe(c) << (in_key ? " key" : " value");
      }
    }
  });
}

TEST(KvStoreTest, CopiesInOrderAndInAllLayers) {
  const Case c{1, 1, 32, 3};
  ThreadPool pool(1);
  Sequence s(c, 3);
  const auto kv = poisoned_store(pool, c, 2);
  const std::vector<int32_t> slots{0, 1, 2};
  for (int layer = 0; layer < 2; ++layer) {
    write_kv(pool, *kv, layer, slots, as_tensor(s.k, 3), as_tensor(s.v, 3));
  }
  copy_kv(*kv, std::vector<int32_t>{2, 33}, std::vector<int32_t>{33, 40});  // 2 -> 33 -> 40
  for (int layer = 0; layer < 2; ++layer) {
    Floats out(3 * 32);
    const std::vector<int32_t> first{2}, second{33}, third{40};
    const std::vector<RowContext> contexts{
        {{}, 0, 0, first}, {{}, 0, 0, second}, {{}, 0, 0, third}};
    attend(pool, *kv, c.parameters(layer), as_tensor(s.q, 3), contexts, as_tensor(out, 3));
    EXPECT_FALSE(std::isnan(out[0]));
    EXPECT_TRUE(same_bits(part(out, 0, 1, 32), part(out, 1, 1, 32)));
    EXPECT_TRUE(same_bits(part(out, 0, 1, 32), part(out, 2, 1, 32)));
  }
}

}  // namespace
}  // namespace tessera::cpu
