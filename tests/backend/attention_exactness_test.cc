// The same bits however a row's keys are reached and whoever computes them.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "attention_support.h"

namespace tessera::cpu {
namespace {

using namespace attention_support;

struct AttentionExactness : testing::TestWithParam<Case> {
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

TEST_P(AttentionExactness, ChunksThreadsAndBlockPlacementDoNotMatter) {
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
TEST_P(AttentionExactness, LaterTokensDoNotMatter) {
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

TEST_P(AttentionExactness, OtherSequencesInTheCallDoNotMatter) {
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
TEST_P(AttentionExactness, SharedBlocksDoNotMatter) {
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
TEST_P(AttentionExactness, TailsEqualDirectLayout) {
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

INSTANTIATE_TEST_SUITE_P(Shapes, AttentionExactness,
                         testing::Values(Case{9, 3, 64, 130}, Case{.length = 130, .chunk = 24},
                                         Case{.heads = 2,
                                              .kv_heads = 1,
                                              .head_dim = 32,
                                              .length = 1100,
                                              .format = KvFormat::kQ8_0,
                                              .chunk = 530},
                                         Case{9, 3, 64, 130, KvFormat::kQ8_0}, Case{4, 4, 40, 100},
                                         Case{16, 1, 32, 70}, Case{14, 2, 64, 90},
                                         Case{4, 1, 128, 200, KvFormat::kF16, 50},
                                         Case{2, 1, 32, 1100},
                                         Case{2, 1, 32, 1100, KvFormat::kQ8_0, 600, 5.0f},
                                         Case{.heads = 2,
                                              .kv_heads = 1,
                                              .head_dim = 32,
                                              .length = 1100,
                                              .slopes = {0.0625f, 0.004f}}));

// A branching tree: siblings share ancestors and see none of each other.
TEST(AttentionTrees, TreeNodesEqualTheSequencesTheyWouldBe) {
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

}  // namespace
}  // namespace tessera::cpu
