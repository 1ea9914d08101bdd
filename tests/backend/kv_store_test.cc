// What a KV store may be, and that layers may differ in it; that it keeps what is written,
// attention_test.cc tells.
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "backend/cpu/attention.h"
#include "backend/cpu/kv_store.h"
#include "base/error.h"
#include "support/random_floats.h"

namespace tessera::cpu {
namespace {

TEST(KvStoreTest, RefusesShapesThatMakeNoSense) {
  const auto allocate = [](std::vector<KvLayer> layers, int blocks,
                           KvFormat format = KvFormat::kF16) {
    return allocate_kv({std::move(layers), blocks, format});
  };
  EXPECT_THROW(allocate({}, 1), Error);
  EXPECT_THROW(allocate({{0, 64}}, 1), Error);
  EXPECT_THROW(allocate({{1, 64}}, 0), Error);
  EXPECT_THROW(allocate({{1, 63}}, 1), Error);
  EXPECT_THROW(allocate({{1, -2}}, 1), Error);
  EXPECT_THROW(allocate({{1, 1 << 20}}, 1), Error);
  EXPECT_THROW(allocate({{1, 48}}, 1, KvFormat::kQ8_0), Error);
  constexpr int kHuge = std::numeric_limits<int>::max();
  EXPECT_THROW(allocate(std::vector<KvLayer>(1 << 16, {kHuge, 64}), kHuge), Error);
  EXPECT_NO_THROW(allocate({{1, 40}}, 1));
}

TEST(KvStoreTest, EveryLayerMustMakeSense) {
  const auto allocate = [](KvLayer last, KvFormat format) {
    return allocate_kv({{{2, 64}, last}, 1, format});
  };
  EXPECT_THROW(allocate({0, 64}, KvFormat::kF16), Error);
  EXPECT_THROW(allocate({1, 63}, KvFormat::kF16), Error);
  EXPECT_THROW(allocate({1, 48}, KvFormat::kQ8_0), Error);
  EXPECT_NO_THROW(allocate({1, 32}, KvFormat::kQ8_0));
}

TEST(KvStoreTest, UntouchedCapacityCostsNoMemory) {
  // 64 GB of reservation, more than the machine may have: only what is written is resident.
  const auto kv = allocate_kv({std::vector<KvLayer>(32, {8, 128}), 16384, KvFormat::kF16});
  EXPECT_EQ(kv->shape.blocks, 16384);
}

const std::vector<KvLayer> kUneven = {{2, 64}, {1, 96}, {4, 32}, {2, 64}};

TEST(KvStoreTest, ABlockTakesTheSumOfItsLayers) {
  for (const KvFormat format : {KvFormat::kF16, KvFormat::kQ8_0}) {
    size_t sum = 0;
    for (const KvLayer& layer : kUneven) sum += kv_block_bytes({{layer}, 1, format});
    EXPECT_EQ(kv_block_bytes({kUneven, 1, format}), sum);
    EXPECT_EQ(allocate_kv({kUneven, 3, format})->block_bytes, sum);
  }
  EXPECT_EQ(kv_block_bytes({kUneven, 1, KvFormat::kF16}),
            static_cast<size_t>(kBlockTokens) * 2 * 2 * (2 * 64 + 96 + 4 * 32 + 2 * 64));
}

// Rows of keys and values, and queries as wide: one query head for each KV head.
struct Rows {
  static constexpr int kCount = 40;  // past a block

  Rows(const KvLayer& layer, uint32_t seed)
      : columns(layer.heads * layer.head_dim),
        k(random_floats(static_cast<size_t>(kCount * columns), seed)),
        v(random_floats(static_cast<size_t>(kCount * columns), seed + 1)) {}
  HostTensor keys() { return {k.data(), kCount, columns, columns}; }
  HostTensor values() { return {v.data(), kCount, columns, columns}; }

  int columns;
  Floats k, v;
};

Floats attend_all(ThreadPool& pool, const KvStore& kv, int layer, Rows& rows,
                  AttentionPlans& plans) {
  Floats out(rows.k.size());
  const AttentionParameters parameters{
      .layer = layer, .heads = kv.shape.layers[static_cast<size_t>(layer)].heads, .scale = 0.2f};
  attend(pool, kv, parameters, {}, rows.keys(), plans,
         {out.data(), Rows::kCount, rows.columns, rows.columns});
  return out;
}

// Layers of any widths side by side are what each is alone, and so are their copies; and what a
// step's layers share of planning changes no bit.
TEST(KvStoreTest, LayersOfDifferentHeadsKeepApart) {
  const std::vector<int32_t> table{2, 0}, copied_table{1, 3};
  std::vector<int32_t> slots, copies;
  std::vector<RowContext> contexts, copied;
  for (int p = 0; p < Rows::kCount; ++p) {
    slots.push_back(slot_of(table, p));
    copies.push_back(slot_of(copied_table, p));
    contexts.push_back({table, p, p + 1, {}});
    copied.push_back({copied_table, p, p + 1, {}});
  }
  for (const int threads : {1, 2}) {
    ThreadPool pool(threads);
    for (const KvFormat format : {KvFormat::kF16, KvFormat::kQ8_0}) {
      const auto together = allocate_kv({kUneven, 4, format});
      std::vector<Rows> rows;
      for (size_t i = 0; i < kUneven.size(); ++i) {
        rows.emplace_back(kUneven[i], static_cast<uint32_t>(10 * i));
        write_kv(pool, *together, static_cast<int>(i), slots, rows[i].keys(), rows[i].values());
      }
      copy_kv(*together, slots, copies);
      AttentionPlans plans(contexts), copied_plans(copied);
      for (size_t i = 0; i < kUneven.size(); ++i) {
        const auto alone = allocate_kv({{kUneven[i]}, 4, format});
        write_kv(pool, *alone, 0, slots, rows[i].keys(), rows[i].values());
        AttentionPlans own_plans(contexts);
        const Floats expected = attend_all(pool, *alone, 0, rows[i], own_plans);
        const int layer = static_cast<int>(i);
        EXPECT_EQ(attend_all(pool, *together, layer, rows[i], plans), expected) << i;
        EXPECT_EQ(attend_all(pool, *together, layer, rows[i], copied_plans), expected) << i;
      }
    }
  }
}

// Of a step's layers, those that are alike share a plan.
TEST(AttentionPlansTest, AreMadeOnceForEachKindOfLayer) {
  const CpuKvStore kv({{{2, 64}, {2, 64}, {1, 64}, {2, 32}}, 2, KvFormat::kF16});
  const std::vector<int32_t> table{0, 1};
  std::vector<RowContext> contexts;
  for (int p = 0; p < 50; ++p) contexts.push_back({table, p, p + 1, {}});
  AttentionPlans plans(contexts);
  const auto plan_of = [&](int layer, int heads, int window = 0) {
    const AttentionCall call{.kv = &kv,
                             .parameters = {.layer = layer, .heads = heads, .window = window},
                             .q = {},
                             .out = {},
                             .contexts = plans.contexts(),
                             .max_splits = plans.max_splits()};
    return &plans.plan(call, 2);
  };
  const AttentionPlan* first = plan_of(0, 4);
  EXPECT_EQ(plan_of(1, 4), first);
  const std::vector<const AttentionPlan*> others = {plan_of(2, 4), plan_of(3, 4), plan_of(0, 2),
                                                    plan_of(0, 4, 8)};
  for (size_t i = 0; i < others.size(); ++i) {
    EXPECT_NE(others[i], first) << i;
    for (size_t j = 0; j < i; ++j) EXPECT_NE(others[i], others[j]) << i << " " << j;
  }
  EXPECT_EQ(plan_of(1, 4), first);
  EXPECT_EQ(plan_of(1, 4, 8), others[3]);
}

}  // namespace
}  // namespace tessera::cpu
