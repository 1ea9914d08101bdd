// Three loops that do nothing but reach a limit.
//
// Read: sums of a buffer that no cache holds, in pieces that threads claim, each read as several
// streams, so that more lines are under way than one prefetcher asks for.
// Dot and multiply-add: a register tile of 6 x 2 accumulators, the shape of a matrix kernel's inner
// loop; with their operands they fit AVX2's 16 registers. 12 independent chains hide a latency of 5
// cycles on 2 ports (AVX-512 VNNI: 10); 8 loads from the first-level cache for 12 operations leave
// the load ports room. Operands are loaded afresh in every step: from registers alone, a compiler
// would lift the part of dot4 that does not depend on the sum out of the loop on targets without a
// dot instruction.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/peaks.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>
//
#include <algorithm>
#include <atomic>
#include <vector>

#include "backend/cpu/dot4.h"
#include "backend/cpu/peaks.h"
#include "base/aligned_buffer.h"
#include "base/system_memory.h"
#include "base/timer.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

constexpr int kTileW = 6, kTileX = 2;
constexpr int kSteps = 16;  // of operands: 8 KiB of the widest vectors

// Runs `multiply_add` on the tile for kSteps steps of fresh operands, `passes` times.
template <class D, class MultiplyAdd, typename T = hn::TFromD<D>>
T run_tile(D d, const T* operands, int passes, MultiplyAdd multiply_add) {
  using V = hn::Vec<D>;
  const size_t lanes = hn::Lanes(d);
  V a0, a1, a2, a3, a4, a5, b0, b1, b2, b3, b4, b5;
  a0 = a1 = a2 = a3 = a4 = a5 = b0 = b1 = b2 = b3 = b4 = b5 = hn::Zero(d);
  for (int pass = 0; pass < passes; ++pass) {
    const T* next = operands;
    const auto load = [&]() HWY_ATTR {
      next += lanes;
      return hn::Load(d, next - lanes);
    };
    for (int step = 0; step < kSteps; ++step) {
      const V xa = load(), xb = load();
      const auto row = [&](V& a, V& b) HWY_ATTR {
        const V wi = load();
        a = multiply_add(a, wi, xa);
        b = multiply_add(b, wi, xb);
      };
      row(a0, b0);
      row(a1, b1);
      row(a2, b2);
      row(a3, b3);
      row(a4, b4);
      row(a5, b5);
    }
  }
  const auto add = [&](V a, V b, V c) HWY_ATTR { return hn::Add(hn::Add(a, b), c); };
  const V sum = hn::Add(add(a0, a1, a2), add(a3, a4, a5));
  return hn::GetLane(hn::Add(sum, hn::Add(add(b0, b1, b2), add(b3, b4, b5))));
}

// Each returns the multiply-adds done and lets `result` depend on all of them.
int64_t run_dots(int passes, const int32_t* operands, int32_t* result) {
  const hn::ScalableTag<int32_t> d;
  *result = run_tile(d, operands, passes, [&](auto sum, auto w, auto x) HWY_ATTR {
    return dot4</*kWide=*/false>(d, sum, w, x);
  });
  return int64_t{passes} * kSteps * kTileW * kTileX * static_cast<int64_t>(4 * hn::Lanes(d));
}

int64_t run_fmas(int passes, const float* operands, float* result) {
  const hn::ScalableTag<float> d;
  *result = run_tile(d, operands, passes,
                     [&](auto sum, auto w, auto x) HWY_ATTR { return hn::MulAdd(w, x, sum); });
  return int64_t{passes} * kSteps * kTileW * kTileX * static_cast<int64_t>(hn::Lanes(d));
}

// The sum of `count` words, a multiple of 512, as 4 streams.
int32_t sum_words(const int32_t* words, size_t count) {
  const hn::ScalableTag<int32_t> d;
  constexpr size_t kStreams = 4;
  const size_t lanes = hn::Lanes(d), stream = count / kStreams;
  auto s0 = hn::Zero(d), s1 = hn::Zero(d), s2 = hn::Zero(d), s3 = hn::Zero(d);
  for (size_t i = 0; i < stream; i += 16) {
    for (size_t j = i; j < i + 16; j += lanes) {
      s0 = hn::Add(s0, hn::Load(d, words + j));
      s1 = hn::Add(s1, hn::Load(d, words + j + stream));
      s2 = hn::Add(s2, hn::Load(d, words + j + 2 * stream));
      s3 = hn::Add(s3, hn::Load(d, words + j + 3 * stream));
    }
  }
  return hn::GetLane(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)));
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::cpu {

HWY_EXPORT(run_dots);
HWY_EXPORT(run_fmas);
HWY_EXPORT(sum_words);

namespace {

constexpr size_t kPiece = size_t{8} << 20;
// Of one arithmetic pass: short, to fit between disturbances.
constexpr double kPassSeconds = 10e-3;
constexpr int kPasses = 8;
constexpr int kItems = 8;  // of arithmetic for each thread, to level what disturbs one
constexpr size_t kMaxOperandBytes = 128 * 64;

// 1 GiB if that leaves as much memory again, else less.
size_t buffer_bytes() {
  return std::clamp(available_memory() / 2, 8 * kPiece, size_t{1} << 30) / kPiece * kPiece;
}

double measure_read(ThreadPool& pool) {
  AlignedBuffer buffer(buffer_bytes());
  const auto words = buffer.as<int32_t>();
  constexpr size_t kPieceWords = kPiece / sizeof(int32_t);
  const int pieces = static_cast<int>(buffer.size() / kPiece);
  // Untouched pages would all be the one zero page.
  pool.parallel_for(pieces, [&](int p, int) {
    std::fill_n(words.begin() + static_cast<ptrdiff_t>(p * kPieceWords), kPieceWords, p);
  });
  std::atomic<int32_t> sum{0};
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const Timer timer;
    pool.parallel_for(pieces, [&](int p, int) {
      sum += HWY_DYNAMIC_DISPATCH(sum_words)(words.data() + p * kPieceWords, kPieceWords);
    });
    best = std::max(best, static_cast<double>(buffer.size()) / timer.seconds());
  }
  return best;
}

// Multiply-adds per second of `run(passes, operands, result)`.
template <typename T, typename Run>
double measure_arithmetic(ThreadPool& pool, Run run) {
  AlignedBuffer operands(kMaxOperandBytes);
  std::ranges::fill(operands.as<T>(), T{1});
  std::vector<T> results(static_cast<size_t>(pool.threads()) * kItems);
  int passes = 1;
  double best = 0;
  for (int measured = 0; measured < kPasses;) {
    std::atomic<int64_t> macs{0};
    const Timer timer;
    pool.parallel_for(static_cast<int>(results.size()), [&](int i, int) {
      macs += run(passes, operands.as<T>().data(), &results[static_cast<size_t>(i)]);
    });
    const double seconds = timer.seconds();
    if (seconds < kPassSeconds) {  // still warming up
      passes *= 2;
      continue;
    }
    best = std::max(best, static_cast<double>(macs) / seconds);
    ++measured;
  }
  return best;
}

}  // namespace

Peaks measure_peaks(ThreadPool& pool) {
  Peaks peaks;
  peaks.read_bytes_per_second = measure_read(pool);
  peaks.dot_macs_per_second =
      measure_arithmetic<int32_t>(pool, [](int passes, const int32_t* operands, int32_t* result) {
        return HWY_DYNAMIC_DISPATCH(run_dots)(passes, operands, result);
      });
  peaks.fma_macs_per_second =
      measure_arithmetic<float>(pool, [](int passes, const float* operands, float* result) {
        return HWY_DYNAMIC_DISPATCH(run_fmas)(passes, operands, result);
      });
  return peaks;
}

}  // namespace tessera::cpu
#endif
