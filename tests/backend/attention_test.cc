// Attention against an oracle in doubles, and its exactness: the same bits however a row's keys are
// reached and whoever computes them.
#include "backend/cpu/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>

#include "base/error.h"
#include "base/half.h"
#include "base/simd/target.h"
#include "support/all_targets.h"
#include "support/random_floats.h"

namespace tessera::cpu {
namespace {

HostTensor as_tensor(Floats& x, int rows) {
  const int columns = static_cast<int>(x.size()) / rows;
  return {x.data(), rows, columns, columns};
}

// What the store keeps of a row, written plainly.
void round_row(KvFormat format, float* x, int count) {
  if (format == KvFormat::kF16) {
    for (int i = 0; i < count; ++i) x[i] = f16_to_f32(f32_to_f16(x[i]));
    return;
  }
  for (int g = 0; g < count; g += 32) {
    float max = 0;
    for (int i = g; i < g + 32; ++i) max = std::max(max, std::abs(x[i]));
    const float scale = f16_to_f32(f32_to_f16(max / 127.0f));
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    for (int i = g; i < g + 32; ++i) {
      x[i] = scale * std::clamp(std::nearbyintf(x[i] * inverse), -127.0f, 127.0f);
    }
  }
}

// What each head gives to nothing: far below its scores, among them, far above.
class Sinks final : public Vector {
 public:
  static constexpr float kValues[] = {-9, 0.5f, 4, 0, 60, -1, 2};
  explicit Sinks(int heads) {
    for (int h = 0; h < heads; ++h) values.push_back(kValues[h % std::ssize(kValues)]);
  }
  std::vector<float> values;
};

struct Case {
  int heads = 4, kv_heads = 2, head_dim = 64, length = 100;
  KvFormat format = KvFormat::kF16;
  int window = 0;
  float soft_cap = 0.0f;
  const Sinks* sinks = nullptr;
  Floats slopes = {};  // of each head

  int kv_columns() const { return kv_heads * head_dim; }
  int columns() const { return heads * head_dim; }
  AttentionParameters parameters(int layer = 1) const {
    return {layer, heads, 1.0f / std::sqrt(static_cast<float>(head_dim)), soft_cap, window,
            sinks, slopes};
  }
};

// A sequence's queries, keys and values at each position.
struct Sequence {
  Floats q, k, v;

  Sequence(const Case& c, uint32_t seed)
      : q(random_floats(static_cast<size_t>(c.length) * c.columns(), seed, 2.0f)),
        k(random_floats(static_cast<size_t>(c.length) * c.kv_columns(), seed + 1)),
        v(random_floats(static_cast<size_t>(c.length) * c.kv_columns(), seed + 2)) {}
};

std::vector<int32_t> block_table(int blocks, int first, uint32_t shuffle_seed) {
  std::vector<int32_t> table(static_cast<size_t>(blocks));
  std::iota(table.begin(), table.end(), first);
  if (shuffle_seed != 0) std::shuffle(table.begin(), table.end(), std::mt19937(shuffle_seed));
  return table;
}

int slot_of(const std::vector<int32_t>& table, int position) {
  return table[static_cast<size_t>(position / kBlockTokens)] * kBlockTokens +
         position % kBlockTokens;
}

// A store of two layers whose every slot holds NaN until it is written.
std::unique_ptr<KvStore> poisoned_store(ThreadPool& pool, const Case& c, int blocks) {
  auto kv = allocate_kv({{{c.kv_heads, c.head_dim}, {c.kv_heads, c.head_dim}}, blocks, c.format});
  std::vector<int32_t> slots(static_cast<size_t>(blocks * kBlockTokens));
  std::iota(slots.begin(), slots.end(), 0);
  Floats nan(slots.size() * static_cast<size_t>(c.kv_columns()),
             std::numeric_limits<float>::quiet_NaN());
  const HostTensor rows = as_tensor(nan, static_cast<int>(slots.size()));
  for (int layer = 0; layer < 2; ++layer) write_kv(pool, *kv, layer, slots, rows, rows);
  return kv;
}

void write_positions(ThreadPool& pool, KvStore& kv, const Case& c, Sequence& s, int first,
                     const std::vector<int32_t>& slots) {
  const int rows = static_cast<int>(slots.size());
  const size_t offset = static_cast<size_t>(first) * c.kv_columns();
  write_kv(pool, kv, 1, slots, {s.k.data() + offset, rows, c.kv_columns(), c.kv_columns()},
           {s.v.data() + offset, rows, c.kv_columns(), c.kv_columns()});
}

void write_sequence(ThreadPool& pool, KvStore& kv, const Case& c, Sequence& s,
                    const std::vector<int32_t>& table, int count) {
  std::vector<int32_t> slots;
  for (int p = 0; p < count; ++p) slots.push_back(slot_of(table, p));
  write_positions(pool, kv, c, s, 0, slots);
}

RowContext direct_row(const std::vector<int32_t>& table, int position) {
  return {table, position, position + 1, {}};
}

// One call, whose plan no other layer shares.
void attend(ThreadPool& pool, const KvStore& kv, const AttentionParameters& parameters,
            HostTensor q, std::span<const RowContext> contexts, HostTensor out) {
  AttentionPlans plans(contexts);
  const auto* sinks = static_cast<const Sinks*>(parameters.sinks);
  attend(pool, kv, parameters, sinks == nullptr ? std::span<const float>() : sinks->values, q,
         plans, out);
}

// Positions [first, last) of one sequence as one call.
Floats attend_chunk(ThreadPool& pool, const KvStore& kv, const Case& c, Sequence& s,
                    const std::vector<int32_t>& table, int first, int last) {
  std::vector<RowContext> contexts;
  for (int p = first; p < last; ++p) contexts.push_back(direct_row(table, p));
  Floats out(static_cast<size_t>(last - first) * c.columns());
  const HostTensor q{s.q.data() + static_cast<size_t>(first) * c.columns(), last - first,
                     c.columns(), c.columns()};
  attend(pool, kv, c.parameters(), q, contexts, as_tensor(out, last - first));
  return out;
}

// softmax(scale q K) V for one position, in doubles, from the rounded keys and values.
std::vector<double> oracle(const Case& c, const Sequence& s, const Floats& k, const Floats& v,
                           int position) {
  std::vector<double> out(static_cast<size_t>(c.columns()));
  const int first = c.window > 0 ? std::max(0, position - c.window + 1) : 0;
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

bool same_bits(const Floats& a, const Floats& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

Floats part(const Floats& x, int first_row, int rows, int columns) {
  const auto begin = x.begin() + static_cast<ptrdiff_t>(first_row) * columns;
  return {begin, begin + static_cast<ptrdiff_t>(rows) * columns};
}

std::string describe(const Case& c) {
  return fmt::format("{} heads, {} KV heads of {}, {} positions, {}, window {}, soft cap {}, {}",
                     c.heads, c.kv_heads, c.head_dim, c.length,
                     c.format == KvFormat::kF16 ? "f16" : "q8_0", c.window, c.soft_cap,
                     target_name());
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

// --- Exactness

struct ExactnessTest : testing::TestWithParam<Case> {
  // Each position by itself, on one thread, in blocks that lie in order.
  Floats reference(const Case& c, Sequence& s) {
    ThreadPool pool(1);
    const int blocks = (c.length + kBlockTokens - 1) / kBlockTokens;
    const auto table = block_table(blocks, 0, 0);
    const auto kv = poisoned_store(pool, c, blocks);
    write_sequence(pool, *kv, c, s, table, c.length);
    Floats out;
    for (int p = 0; p < c.length; ++p) {
      const Floats row = attend_chunk(pool, *kv, c, s, table, p, p + 1);
      out.insert(out.end(), row.begin(), row.end());
    }
    return out;
  }
};

TEST_P(ExactnessTest, ChunksThreadsAndBlockPlacementDoNotMatter) {
  const Case c = GetParam();
  on_all_targets([&] {
    SCOPED_TRACE(describe(c));
    Sequence s(c, 11);
    const Floats expected = reference(c, s);
    const int blocks = (c.length + kBlockTokens - 1) / kBlockTokens;
    for (int threads : {1, 2, 4}) {
      ThreadPool pool(threads);
      const auto table = block_table(blocks, 2, static_cast<uint32_t>(threads));
      const auto kv = poisoned_store(pool, c, blocks + 2);
      write_sequence(pool, *kv, c, s, table, c.length);
      for (int chunk : {c.length, 1, 7, 64}) {
        Floats out;
        for (int first = 0; first < c.length; first += chunk) {
          const int last = std::min(c.length, first + chunk);
          const Floats rows = attend_chunk(pool, *kv, c, s, table, first, last);
          out.insert(out.end(), rows.begin(), rows.end());
        }
        EXPECT_TRUE(same_bits(out, expected)) << threads << " threads, chunks of " << chunk;
      }
    }
  });
}

// Prompts arrive in chunks: a row's result must not depend on whether later rows were written.
TEST_P(ExactnessTest, LaterTokensDoNotMatter) {
  const Case c = GetParam();
  on_all_targets([&] {
    SCOPED_TRACE(describe(c));
    Sequence s(c, 12);
    const Floats expected = reference(c, s);
    ThreadPool pool(2);
    const int blocks = (c.length + kBlockTokens - 1) / kBlockTokens;
    const auto table = block_table(blocks, 0, 9);
    const auto kv = poisoned_store(pool, c, blocks);
    Floats out;
    for (int first = 0; first < c.length; first += 45) {
      const int last = std::min(c.length, first + 45);
      std::vector<int32_t> slots;
      for (int p = first; p < last; ++p) slots.push_back(slot_of(table, p));
      write_positions(pool, *kv, c, s, first, slots);
      const Floats rows = attend_chunk(pool, *kv, c, s, table, first, last);
      out.insert(out.end(), rows.begin(), rows.end());
    }
    EXPECT_TRUE(same_bits(out, expected));
  });
}

TEST_P(ExactnessTest, OtherSequencesInTheCallDoNotMatter) {
  const Case c = GetParam();
  on_all_targets([&] {
    SCOPED_TRACE(describe(c));
    ThreadPool pool(3);
    constexpr int kSequences = 5;
    const int blocks = (c.length + kBlockTokens - 1) / kBlockTokens;
    const auto kv = poisoned_store(pool, c, blocks * kSequences);
    std::vector<std::vector<int32_t>> tables;
    std::vector<RowContext> contexts;
    Floats q, expected;
    tables.reserve(kSequences);
    for (int i = 0; i < kSequences; ++i) {
      Sequence s(c, 100 + static_cast<uint32_t>(i));
      tables.push_back(block_table(blocks, i * blocks, 21));
      write_sequence(pool, *kv, c, s, tables.back(), c.length);
      const int last = c.length * (i + 1) / kSequences;  // of different lengths
      const int first = std::max(0, last - (i % 2 == 0 ? 1 : 9));
      const Floats all = reference(c, s);
      for (int p = first; p < last; ++p) contexts.push_back(direct_row(tables.back(), p));
      const Floats queries = part(s.q, first, last - first, c.columns());
      const Floats rows = part(all, first, last - first, c.columns());
      q.insert(q.end(), queries.begin(), queries.end());
      expected.insert(expected.end(), rows.begin(), rows.end());
    }
    Floats out(q.size());
    const int rows = static_cast<int>(contexts.size());
    attend(pool, *kv, c.parameters(), as_tensor(q, rows), contexts, as_tensor(out, rows));
    EXPECT_TRUE(same_bits(out, expected));
  });
}

// Sequences that begin alike may name the same blocks (a shared prompt, a tree of them), and are
// then read together.
TEST_P(ExactnessTest, SharedBlocksDoNotMatter) {
  const Case c = GetParam();
  const int blocks = (c.length + kBlockTokens - 1) / kBlockTokens;
  const int half = blocks / 2, most = blocks - 1;
  // Whose first blocks a sequence shares, and how many.
  const std::vector<std::pair<int, int>> shares = {{0, 0},    {0, half}, {0, 0},   {0, most},
                                                   {2, half}, {1, most}, {4, most}};
  const int sequences = static_cast<int>(shares.size());
  on_all_targets([&] {
    SCOPED_TRACE(describe(c));
    std::vector<Sequence> all;
    std::vector<std::vector<int32_t>> tables;
    ThreadPool pool(2);
    const auto kv = poisoned_store(pool, c, blocks * sequences);
    for (int i = 0; i < sequences; ++i) {
      const auto [other, shared] = shares[static_cast<size_t>(i)];
      Sequence s(c, 300 + static_cast<uint32_t>(i));
      std::vector<int32_t> table = block_table(blocks, i * blocks, 5);
      if (shared > 0) {
        const Sequence& from = all[static_cast<size_t>(other)];
        const auto values = static_cast<ptrdiff_t>(shared) * kBlockTokens * c.kv_columns();
        std::copy_n(from.k.begin(), values, s.k.begin());
        std::copy_n(from.v.begin(), values, s.v.begin());
        std::copy_n(tables[static_cast<size_t>(other)].begin(), shared, table.begin());
      }
      write_sequence(pool, *kv, c, s, table, c.length);
      all.push_back(std::move(s));
      tables.push_back(std::move(table));
    }
    std::vector<RowContext> contexts;
    Floats q, expected;
    for (int i = 0; i < sequences; ++i) {
      Sequence& s = all[static_cast<size_t>(i)];
      const int last = c.length - i, first = std::max(0, last - (i % 3 == 1 ? 11 : 1));
      const Floats alone = part(reference(c, s), first, last - first, c.columns());
      const Floats queries = part(s.q, first, last - first, c.columns());
      for (int p = first; p < last; ++p)
        contexts.push_back(direct_row(tables[static_cast<size_t>(i)], p));
      q.insert(q.end(), queries.begin(), queries.end());
      expected.insert(expected.end(), alone.begin(), alone.end());
    }
    const int rows = static_cast<int>(contexts.size());
    for (int threads : {1, 2, 4}) {
      ThreadPool some(threads);
      Floats out(q.size());
      attend(some, *kv, c.parameters(), as_tensor(q, rows), contexts, as_tensor(out, rows));
      EXPECT_TRUE(same_bits(out, expected)) << threads << " threads";
    }
  });
}

// The last `tail` positions lie in slots far from the block table, in no order, as tree nodes do.
TEST_P(ExactnessTest, TailsEqualDirectLayout) {
  const Case c = GetParam();
  on_all_targets([&] {
    SCOPED_TRACE(describe(c));
    Sequence s(c, 13);
    const Floats expected = reference(c, s);
    ThreadPool pool(2);
    const int blocks = (c.length + kBlockTokens - 1) / kBlockTokens;
    const auto table = block_table(blocks, 0, 5);
    for (int tail : {1, 6, 40, 70, c.length}) {
      tail = std::min(tail, c.length);
      const int direct = c.length - tail, spare = tail / kBlockTokens + 1;
      const auto kv = poisoned_store(pool, c, blocks + spare);
      write_sequence(pool, *kv, c, s, table, direct);
      std::vector<int32_t> slots(static_cast<size_t>(spare * kBlockTokens));
      std::iota(slots.begin(), slots.end(), blocks * kBlockTokens);
      std::shuffle(slots.begin(), slots.end(), std::mt19937(17));
      slots.resize(static_cast<size_t>(tail));
      write_positions(pool, *kv, c, s, direct, slots);

      std::vector<RowContext> contexts;
      for (int p = direct; p < c.length; ++p) {
        contexts.push_back(
            {table, p, direct, std::span(slots).first(static_cast<size_t>(p + 1 - direct))});
      }
      Floats q = part(s.q, direct, tail, c.columns()), out(q.size());
      attend(pool, *kv, c.parameters(), as_tensor(q, tail), contexts, as_tensor(out, tail));
      EXPECT_TRUE(same_bits(out, part(expected, direct, tail, c.columns()))) << "tail " << tail;

      // Accepted: copied to where the block table has them.
      std::vector<int32_t> homes;
      for (int p = direct; p < c.length; ++p) homes.push_back(slot_of(table, p));
      copy_kv(*kv, slots, homes);
      out = attend_chunk(pool, *kv, c, s, table, direct, c.length);
      EXPECT_TRUE(same_bits(out, part(expected, direct, tail, c.columns())))
          << "copied tail " << tail;
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Shapes, ExactnessTest,
                         testing::Values(Case{9, 3, 64, 130}, Case{9, 3, 64, 130, KvFormat::kQ8_0},
                                         Case{4, 4, 40, 100}, Case{16, 1, 32, 70},
                                         Case{14, 2, 64, 90},
                                         Case{4, 1, 128, 200, KvFormat::kF16, 50},
                                         Case{2, 1, 32, 1100},
                                         Case{2, 1, 32, 1100, KvFormat::kQ8_0, 600, 5.0f},
                                         Case{.heads = 2,
                                              .kv_heads = 1,
                                              .head_dim = 32,
                                              .length = 1100,
                                              .slopes = {0.0625f, 0.004f}}));

// A branching tree: siblings share ancestors and see none of each other.
TEST(AttentionTest, TreeNodesEqualTheSequencesTheyWouldBe) {
  on_all_targets([] {
    const Case c{6, 2, 64, 66};
    ThreadPool pool(2);
    constexpr int kPrefix = 62;  // the nodes straddle the end of a block
    Sequence s(c, 31), other(c, 32);
    const auto table = block_table(3, 0, 2), other_table = block_table(3, 3, 0);
    const auto kv = poisoned_store(pool, c, 8);
    write_sequence(pool, *kv, c, s, table, kPrefix);
    std::copy_n(s.k.begin(), kPrefix * c.kv_columns(), other.k.begin());
    std::copy_n(s.v.begin(), kPrefix * c.kv_columns(), other.v.begin());
    write_sequence(pool, *kv, c, other, other_table, c.length);
    // Nodes: two chains of four from one prefix, interleaved, scattered over two blocks.
    std::vector<int32_t> a, b;
    for (int i = 0; i < c.length - kPrefix; ++i) {
      a.push_back(200 + 2 * i);
      b.push_back(240 - i);
    }
    write_positions(pool, *kv, c, s, kPrefix, a);
    write_positions(pool, *kv, c, other, kPrefix, b);
    std::vector<RowContext> contexts;
    Floats q;
    for (int i = 0; i < c.length - kPrefix; ++i) {
      const auto count = static_cast<size_t>(i + 1);
      contexts.push_back({table, kPrefix + i, kPrefix, std::span(a).first(count)});
      contexts.push_back({table, kPrefix + i, kPrefix, std::span(b).first(count)});
      for (Sequence* branch : {&s, &other}) {
        const Floats row = part(branch->q, kPrefix + i, 1, c.columns());
        q.insert(q.end(), row.begin(), row.end());
      }
    }
    const int rows = static_cast<int>(contexts.size());
    Floats out(q.size());
    attend(pool, *kv, c.parameters(), as_tensor(q, rows), contexts, as_tensor(out, rows));
    for (int i = 0; i < c.length - kPrefix; ++i) {
      const int p = kPrefix + i;
      EXPECT_TRUE(same_bits(part(out, 2 * i + 1, 1, c.columns()),
                            attend_chunk(pool, *kv, c, other, other_table, p, p + 1)));
    }
    write_sequence(pool, *kv, c, s, table, c.length);
    for (int i = 0; i < c.length - kPrefix; ++i) {
      const int p = kPrefix + i;
      EXPECT_TRUE(same_bits(part(out, 2 * i, 1, c.columns()),
                            attend_chunk(pool, *kv, c, s, table, p, p + 1)));
    }
  });
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
