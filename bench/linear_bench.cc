// The CPU's linear: bytes of weights and multiply-accumulates per second, by format, shape and
// rows.
//
// A run cycles through matrices that together exceed the caches, as a forward pass does, so that
// with few rows the bound is memory. TESSERA_BENCH_THREADS sets the threads (default: all cores),
// TESSERA_TARGET the instruction set.
//   linear_bench --benchmark_filter=Q4_K/1536x8960
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <memory>
#include <random>
#include <vector>

#include "backend/cpu/linear.h"
#include "base/simd/target.h"
#include "bench_pool.h"

namespace tessera::cpu {
namespace {

constexpr size_t kCycleBytes = size_t{512} << 20;
constexpr int kMostMatrices = 64;

struct Shape {
  int outputs, columns;
};

// The matrices of the last format and shape asked for: neighbours in the list share them.
const std::vector<std::unique_ptr<Matrix>>& matrices(const Format& format, Shape shape) {
  static const Format* last_format = nullptr;
  static Shape last{};
  static std::vector<std::unique_ptr<Matrix>> stored;
  if (last_format == &format && last.outputs == shape.outputs && last.columns == shape.columns)
    return stored;
  last_format = &format;
  last = shape;
  stored.clear();

  const size_t bytes =
      format.row_bytes(static_cast<uint64_t>(shape.columns)) * static_cast<size_t>(shape.outputs);
  std::vector<std::byte> weights(bytes);
  std::mt19937 rng(1);
  // 0x3c3c.. is an ordinary number in every float format, and so are scales and codes near it.
  for (std::byte& b : weights) b = static_cast<std::byte>(0x3c + rng() % 2);
  const Backend::WeightPart part = {&format, weights, shape.outputs};
  const size_t count = std::min<size_t>(kMostMatrices, kCycleBytes / bytes + 1);
  WeightArena arena;
  for (size_t i = 0; i < count; ++i)
    stored.push_back(load_matrix(bench_pool(), arena, {&part, 1}, shape.columns));
  return stored;
}

void linear_rows(benchmark::State& state, const Format& format, Shape shape, int rows) {
  const auto& cycle = matrices(format, shape);
  std::vector<float> x(static_cast<size_t>(rows) * static_cast<size_t>(shape.columns));
  std::vector<float> y(static_cast<size_t>(rows) * static_cast<size_t>(shape.outputs));
  std::mt19937 rng(2);
  std::normal_distribution<float> normal;
  for (float& value : x) value = normal(rng);
  LinearScratch scratch;
  size_t next = 0;
  for (auto _ : state) {
    linear(bench_pool(), scratch, *cycle[next], {x.data(), rows, shape.columns, shape.columns}, {},
           {y.data(), rows, shape.outputs, shape.outputs});
    next = (next + 1) % cycle.size();
  }
  const double calls = static_cast<double>(state.iterations());
  const double macs = static_cast<double>(shape.outputs) * shape.columns * rows;
  state.counters["weights/s"] =
      benchmark::Counter(calls * static_cast<double>(cycle[0]->bytes), benchmark::Counter::kIsRate);
  state.counters["MAC/s"] = benchmark::Counter(calls * macs, benchmark::Counter::kIsRate);
}

}  // namespace
}  // namespace tessera::cpu

int main(int argc, char** argv) {
  using namespace tessera;
  const Format* const formats[] = {&kQ4_0,  &kQ4_1, &kQ5_0, &kQ5_1, &kQ8_0,   &kQ2_K,
                                   &kQ3_K,  &kQ4_K, &kQ5_K, &kQ6_K, &kIQ4_NL, &kIQ4_XS,
                                   &kMXFP4, &kF16,  &kBF16, &kF32};
  for (const Format* format : formats) {
    for (cpu::Shape shape :
         {cpu::Shape{576, 1536}, cpu::Shape{1536, 8960}, cpu::Shape{2048, 8192}}) {
      for (int rows : {1, 2, 4, 8, 16, 512}) {
        const std::string name =
            fmt::format("{}/{}x{}/{}", format->name, shape.outputs, shape.columns, rows);
        benchmark::RegisterBenchmark(name.c_str(), cpu::linear_rows, *format, shape, rows)
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
