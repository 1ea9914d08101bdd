// The CPU's linear: bytes of weights and multiply-accumulates per second, by format, shape and
// rows.
//
// A run cycles through matrices that together exceed the caches, as a forward pass does, so that
// with few rows the bound is memory. TESSERA_BENCH_THREADS sets the threads (default: all cores),
// TESSERA_TARGET the instruction set.
//   linear_bench --benchmark_filter=Q4_K/1536x8960
//   linear_bench --ratios        # new layouts beside old ones, alternating
//   linear_bench --sparse        # weights of which two in four are zero beside others
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

#include "backend/cpu/linear.h"
#include "base/simd/target.h"
#include "bench_pool.h"
#include "formats/grouped.h"

namespace tessera::cpu {
namespace {

constexpr size_t kCycleBytes = size_t{512} << 20;
constexpr int kMostMatrices = 64;

struct Shape {
  int outputs, columns;
};

using Matrices = std::vector<std::unique_ptr<Matrix>>;

// Two neighbours in four become zero.
void prune(const Format& format, Shape shape, std::vector<std::byte>& weights) {
  const auto columns = static_cast<size_t>(shape.columns);
  const size_t row_bytes = format.row_bytes(columns);
  std::mt19937 rng(3);
  std::normal_distribution<float> normal;
  std::vector<float> values(columns);
  for (size_t at = 0; at < weights.size(); at += row_bytes) {
    for (size_t c = 0; c < columns; ++c) values[c] = c % 4 < 2 ? 0.0f : normal(rng);
    format.encode(values, &weights[at], {});
  }
}

Matrices make_matrices(const Format& format, Shape shape, bool is_pruned = false) {
  const size_t bytes =
      format.row_bytes(static_cast<uint64_t>(shape.columns)) * static_cast<size_t>(shape.outputs);
  std::vector<std::byte> weights(bytes);
  std::mt19937 rng(1);
  // 0x3c3c.. is an ordinary number in every float format, and so are scales and codes near it.
  for (std::byte& b : weights) b = static_cast<std::byte>(0x3c + rng() % 2);
  if (is_pruned) prune(format, shape, weights);
  const Backend::WeightPart part = {&format, weights, shape.outputs};
  WeightArena arena;
  Matrices made;
  do {
    made.push_back(load_matrix(bench_pool(), arena, {&part, 1}, shape.columns));
  } while (made.size() < kMostMatrices && made.size() * made[0]->bytes <= kCycleBytes);
  return made;
}

// The matrices of the last format and shape asked for: neighbours in the list share them.
const Matrices& matrices(const Format& format, Shape shape) {
  static const Format* last_format = nullptr;
  static Shape last{};
  static Matrices stored;
  if (last_format == &format && last.outputs == shape.outputs && last.columns == shape.columns)
    return stored;
  last_format = &format;
  last = shape;
  stored.clear();
  stored = make_matrices(format, shape);
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

// --- two formats beside each other

const Format& grouped4() {
  return grouped_format({.bits = 4, .offset = GroupedOffset::kZero, .group = 128});
}
const Format& nf4() {
  return grouped_format({.codes = GroupedCodes::kNF4, .f32_scales = true, .group = 64});
}
const Format& e4m3() {
  return grouped_format({.codes = GroupedCodes::kE4M3, .f32_scales = true, .group = 128});
}

// Seconds of one product of each matrix.
double seconds(const Matrices& cycle, std::vector<float>& x, int rows) {
  static LinearScratch scratch;
  const int columns = cycle[0]->columns, outputs = cycle[0]->rows;
  std::vector<float> y(static_cast<size_t>(rows) * static_cast<size_t>(outputs));
  const auto start = std::chrono::steady_clock::now();
  for (const auto& matrix : cycle) {
    linear(bench_pool(), scratch, *matrix, {x.data(), rows, columns, columns}, {},
           {y.data(), rows, outputs, outputs});
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() /
         static_cast<double>(cycle.size());
}

// The median of the ratios of neighbours in time: they had the same machine.
void print_ratio(std::string_view pair, const Matrices& our_cycle, const Matrices& their_cycle,
                 int rows) {
  const Shape shape = {our_cycle[0]->rows, our_cycle[0]->columns};
  std::vector<float> x(static_cast<size_t>(rows) * static_cast<size_t>(shape.columns));
  std::mt19937 rng(2);
  std::normal_distribution<float> normal;
  for (float& value : x) value = normal(rng);
  seconds(our_cycle, x, rows);
  seconds(their_cycle, x, rows);
  std::vector<double> ratios;
  double us = 0, them = 0;
  constexpr int kRounds = 15;
  for (int round = 0; round < kRounds; ++round) {
    const double a = seconds(our_cycle, x, rows), b = seconds(their_cycle, x, rows);
    us += a / kRounds;
    them += b / kRounds;
    ratios.push_back(a / b);
  }
  std::ranges::sort(ratios);
  fmt::print("| {} | {}x{} | {} | {:.1f} | {:.1f} | {:.3f} | {:.3f} - {:.3f} |\n", pair,
             shape.outputs, shape.columns, rows, us * 1e6, them * 1e6, ratios[kRounds / 2],
             ratios[1], ratios[kRounds - 2]);
}

void print_head() {
  fmt::print("| time of / time of | outputs x columns | rows | us | us | median ratio | most |\n");
  fmt::print("|---|---|---|---|---|---|---|\n");
}

void print_ratios() {
  const std::pair<const Format*, const Format*> pairs[] = {
      {&grouped4(), &kQ4_1}, {&nf4(), &kIQ4_NL}, {&e4m3(), &kF16}, {&kTQ2_0, &kQ4_0}};
  print_head();
  for (const auto& [ours, theirs] : pairs) {
    for (const Shape shape : {Shape{2048, 2048}, Shape{8192, 2048}, Shape{2048, 8192}}) {
      for (const int rows : {1, 512}) {
        if (rows > 1 && shape.columns != shape.outputs) continue;
        print_ratio(fmt::format("{} / {}", ours->name, theirs->name), make_matrices(*ours, shape),
                    make_matrices(*theirs, shape), rows);
      }
    }
  }
}

void print_sparse() {
  print_head();
  for (const Format* format : {&kQ8_0, &kQ5_0}) {
    for (const Shape shape : {Shape{2048, 2048}, Shape{8192, 2048}, Shape{2048, 8192}}) {
      const Matrices sparse = make_matrices(*format, shape, true);
      const Matrices dense = make_matrices(*format, shape);
      for (const int rows : {1, 4, 8, 512})
        print_ratio(fmt::format("{0} 2:4 / {0}", format->name), sparse, dense, rows);
    }
  }
}

}  // namespace
}  // namespace tessera::cpu

int main(int argc, char** argv) {
  using namespace tessera;
  const std::string_view flag = argc == 2 ? argv[1] : "";
  if (flag == "--ratios" || flag == "--sparse") {
    fmt::print(stderr, "{}, {} threads\n", target_name(), cpu::bench_pool().threads());
    flag == "--ratios" ? cpu::print_ratios() : cpu::print_sparse();
    return 0;
  }
  const Format* const formats[] = {
      &kQ4_0,           &kQ4_1,      &kQ5_0,       &kQ5_1,   &kQ8_0,  &kQ2_K,  &kQ3_K, &kQ4_K,
      &kQ5_K,           &kQ6_K,      &kIQ4_NL,     &kIQ4_XS, &kMXFP4, &kF16,   &kBF16, &kF32,
      &cpu::grouped4(), &cpu::nf4(), &cpu::e4m3(), &kTQ2_0,  &kNVFP4, &kIQ2_XS};
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
