// The CPU's attention: keys and values read and multiply-adds per second, by model shape, KV format
// and use.
//
// A run cycles through layers that together exceed the caches, as a forward pass does.
// TESSERA_BENCH_THREADS sets the threads (default: all cores), TESSERA_TARGET the instruction set.
//   attention_bench --benchmark_filter=smollm2-135m/f16/shared
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "backend/cpu/attention.h"
#include "backend/cpu/kv_store.h"
#include "base/simd/target.h"
#include "bench_pool.h"

namespace tessera::cpu {
namespace {

constexpr size_t kCycleBytes = size_t{512} << 20;
constexpr int kMostLayers = 64;

struct Shape {
  const char* name;
  int heads, kv_heads, head_dim;
};

// Sequences of the same length, each with as many rows at its end; their first tokens are shared.
struct Use {
  const char* name;
  int sequences, tokens, shared_tokens, rows;
};

std::vector<float> random_floats(size_t count) {
  std::mt19937 rng(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(rng);
  return values;
}

// Block tables: the shared blocks first, then each sequence's own.
std::vector<std::vector<int32_t>> block_tables(const Use& use, int& blocks) {
  const int shared = use.shared_tokens / kBlockTokens;
  blocks = shared;
  std::vector<std::vector<int32_t>> tables(static_cast<size_t>(use.sequences));
  for (std::vector<int32_t>& table : tables) {
    for (int i = 0; i * kBlockTokens < use.tokens; ++i) table.push_back(i < shared ? i : blocks++);
  }
  return tables;
}

void attention(benchmark::State& state, Shape shape, KvFormat format, Use use) {
  int blocks = 0;
  const auto tables = block_tables(use, blocks);
  const size_t tile = TileLayout(shape.head_dim, format).bytes;
  const size_t layer_bytes = tile * static_cast<size_t>(shape.kv_heads * blocks);
  const int layers = static_cast<int>(std::min<size_t>(kMostLayers, kCycleBytes / layer_bytes + 1));
  const auto kv = allocate_kv(
      {std::vector<KvLayer>(static_cast<size_t>(layers), {shape.kv_heads, shape.head_dim}), blocks,
       format});

  std::vector<int32_t> slots(static_cast<size_t>(blocks * kBlockTokens));
  for (size_t i = 0; i < slots.size(); ++i) slots[i] = static_cast<int32_t>(i);
  const int kv_columns = shape.kv_heads * shape.head_dim;
  std::vector<float> k = random_floats(slots.size() * static_cast<size_t>(kv_columns));
  const HostTensor keys = {k.data(), static_cast<int>(slots.size()), kv_columns, kv_columns};
  for (int layer = 0; layer < layers; ++layer)
    write_kv(bench_pool(), *kv, layer, slots, keys, keys);

  std::vector<RowContext> contexts;
  double seen = 0;
  for (const auto& table : tables) {
    for (int p = use.tokens - use.rows; p < use.tokens; ++p) {
      contexts.push_back({table, p, p + 1, {}});
      seen += p + 1;
    }
  }
  const int rows = static_cast<int>(contexts.size()), columns = shape.heads * shape.head_dim;
  std::vector<float> q = random_floats(static_cast<size_t>(rows) * columns), out(q.size());
  AttentionParameters parameters = {0, shape.heads,
                                    1.0f / std::sqrt(static_cast<float>(shape.head_dim)), 0.0f, 0};
  std::optional<AttentionPlans> plans;  // made once a pass over the layers
  for (auto _ : state) {
    if (parameters.layer == 0) plans.emplace(contexts);
    attend(bench_pool(), *kv, parameters, {q.data(), rows, columns, columns}, *plans,
           {out.data(), rows, columns, columns});
    parameters.layer = (parameters.layer + 1) % layers;
  }
  const double calls = static_cast<double>(state.iterations());
  state.counters["kv/s"] =
      benchmark::Counter(calls * static_cast<double>(layer_bytes), benchmark::Counter::kIsRate);
  state.counters["MAC/s"] =
      benchmark::Counter(calls * 2 * seen * columns, benchmark::Counter::kIsRate);
}

}  // namespace
}  // namespace tessera::cpu

int main(int argc, char** argv) {
  using namespace tessera;
  const cpu::Shape shapes[] = {{"smollm2-135m", 9, 3, 64},
                               {"qwen2.5-0.5b", 14, 2, 64},
                               {"qwen2.5-1.5b", 12, 2, 128},
                               {"llama3.2-1b", 32, 8, 64}};
  const cpu::Use uses[] = {
      {"decode 512", 1, 512, 0, 1},        {"decode 8192", 1, 8192, 0, 1},
      {"verify 8, 512", 1, 512, 0, 8},     {"prompt 512", 1, 512, 0, 512},
      {"32 streams 448", 32, 448, 0, 1},   {"32 streams 448, 320 shared", 32, 448, 320, 1},
      {"128 streams 448", 128, 448, 0, 1}, {"128 streams 448, 320 shared", 128, 448, 320, 1}};
  for (const cpu::Shape& shape : shapes) {
    for (const KvFormat format : {KvFormat::kF16, KvFormat::kQ8_0}) {
      for (const cpu::Use& use : uses) {
        const std::string name = fmt::format("{}/{}/{}", shape.name,
                                             format == KvFormat::kF16 ? "f16" : "q8_0", use.name);
        benchmark::RegisterBenchmark(name.c_str(), cpu::attention, shape, format, use)
            ->UseRealTime()
            ->Unit(benchmark::kMicrosecond)
            ->MinTime(0.2);
      }
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  fmt::print(stderr, "{}, {} threads\n", target_name(), cpu::bench_pool().threads());
  benchmark::RunSpecifiedBenchmarks();
}
