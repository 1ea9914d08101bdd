// Order of operations. A x: each rank has kSums partial sums, to which columns go in turn, in each
// part of kPartColumns columns; parts are added in ascending order. B: ranks go to
// kUpSums partial sums in turn, whose sum is added to that of the matrix. So neither threads nor
// other rows make a difference.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/low_rank.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>
//
#include <algorithm>
#include <cstring>
#include <thread>

#include "backend/cpu/lanes.h"
#include "backend/cpu/low_rank.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/relax.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

template <FloatKind kKind>
HWY_INLINE FloatVector load_values(const std::byte* p) {
  const FloatTag df;
  if constexpr (kKind == FloatKind::kF32) {
    return hn::LoadU(df, reinterpret_cast<const float*>(p));
  } else if constexpr (kKind == FloatKind::kF16) {
    return load_f16(p);
  } else {
    const IntTag di;
    const hn::Rebind<uint16_t, FloatTag> d16;
    const auto bits = hn::PromoteTo(di, hn::LoadU(d16, reinterpret_cast<const uint16_t*>(p)));
    return hn::BitCast(df, hn::ShiftLeft<16>(bits));
  }
}

constexpr size_t bytes_of(FloatKind kind) {
  return kind == FloatKind::kF32 ? 4 : 2;
}

constexpr int kSums = 4;  // cover the latency of the multiply-add
constexpr int kMostRows = kLanes >= 16 ? 6 : 2;

// out[r][0 .. 15] = one panel of A times kRows rows of x, over `columns` columns. Fetches ahead
// what lies before `end`.
template <FloatKind kKind, int kRows>
HWY_NOINLINE void down_rows(const std::byte* panel, const std::byte* end, const float* x,
                            size_t x_stride, int columns, float* out, size_t out_stride) {
  constexpr size_t kColumnBytes = kRankLanes * bytes_of(kKind);
  const FloatTag df;
  for (size_t part = 0; part < kRankLanes; part += kLanes) {
    FloatVector sum[kSums][kRows];
    unroll<kSums>([&](auto s) TESSERA_INLINE_LAMBDA {
      TESSERA_UNROLL for (int r = 0; r < kRows; ++r) sum[s][r] = hn::Zero(df);
    });
    const std::byte *p = panel + part * bytes_of(kKind), *last = end - 1;
    const auto add_column = [&](auto s, int c) TESSERA_INLINE_LAMBDA {
      const FloatVector w = load_values<kKind>(p + static_cast<size_t>(c) * kColumnBytes);
      TESSERA_UNROLL for (int r = 0; r < kRows; ++r) {
        sum[s][r] = hn::MulAdd(w, hn::Set(df, x[r * x_stride + c]), sum[s][r]);
      }
    };
    int c = 0;
    for (; c + kSums <= columns; c += kSums) {
      const std::byte* ahead = p + static_cast<size_t>(c) * kColumnBytes;
      for (size_t line = 0; part == 0 && line < kSums * kColumnBytes; line += 64)
        fetch_ahead(std::min(ahead + line, last));
      unroll<kSums>([&](auto s) TESSERA_INLINE_LAMBDA { add_column(s, c + s); });
    }
    unroll<kSums>([&](auto s) TESSERA_INLINE_LAMBDA {
      if (c + s < columns) add_column(s, c + s);
    });
    TESSERA_UNROLL for (int r = 0; r < kRows; ++r) {
      const auto both = hn::Add(hn::Add(sum[0][r], sum[1][r]), hn::Add(sum[2][r], sum[3][r]));
      hn::StoreU(both, df, out + r * out_stride + part);
    }
  }
}

template <FloatKind kKind>
void down_panel(const std::byte* panel, const std::byte* end, const float* x, size_t x_stride,
                int rows, int columns, float* out, size_t out_stride) {
  int row = 0;
  const auto run = [&](auto count) {
    for (; rows - row >= count; row += count) {
      down_rows<kKind, count>(panel, end, x + row * x_stride, x_stride, columns,
                              out + row * out_stride, out_stride);
    }
  };
  run(std::integral_constant<int, kMostRows>());
  run(std::integral_constant<int, 1>());
}

constexpr int kUpSums = 2;
// That registers hold, of B's sums.
constexpr int kMostUpRows = kLanes >= 16 ? 4 : 1;

// sums[r][0 .. 31] += one panel of B times row r of `down`, of `ranks` values.
template <FloatKind kKind, int kRows>
HWY_NOINLINE void up_rows(const std::byte* panel, const float* down, size_t down_stride, int ranks,
                          float (*sums)[kPanelRows]) {
  constexpr int kParts = kPanelRows / static_cast<int>(kLanes);
  constexpr size_t kRankBytes = kPanelRows * bytes_of(kKind);
  const FloatTag df;
  FloatVector sum[kUpSums][kParts][kRows];
  unroll<kUpSums * kParts>([&](auto i) TESSERA_INLINE_LAMBDA {
    TESSERA_UNROLL for (int r = 0; r < kRows; ++r) sum[i / kParts][i % kParts][r] = hn::Zero(df);
  });
  const auto add_rank = [&](auto s, int k) TESSERA_INLINE_LAMBDA {
    const std::byte* values = panel + static_cast<size_t>(k) * kRankBytes;
    unroll<kParts>([&](auto p) TESSERA_INLINE_LAMBDA {
      const FloatVector w = load_values<kKind>(values + p * kLanes * bytes_of(kKind));
      TESSERA_UNROLL for (int r = 0; r < kRows; ++r) {
        sum[s][p][r] = hn::MulAdd(w, hn::Set(df, down[r * down_stride + k]), sum[s][p][r]);
      }
    });
  };
  int k = 0;
  for (; k + kUpSums <= ranks; k += kUpSums)
    unroll<kUpSums>([&](auto s) TESSERA_INLINE_LAMBDA { add_rank(s, k + s); });
  if (k < ranks) add_rank(std::integral_constant<int, 0>(), k);
  unroll<kParts>([&](auto p) TESSERA_INLINE_LAMBDA {
    TESSERA_UNROLL for (int r = 0; r < kRows; ++r) {
      float* to = sums[r] + p * kLanes;
      const auto both = hn::Add(sum[0][p][r], sum[1][p][r]);
      hn::StoreU(hn::Add(hn::LoadU(df, to), both), df, to);
    }
  });
}

template <FloatKind kKind>
void up_panel(const std::byte* panel, const float* down, size_t down_stride, int rows, int ranks,
              float (*sums)[kPanelRows]) {
  int row = 0;
  const auto run = [&](auto count) {
    for (; rows - row >= count; row += count) {
      up_rows<kKind, count>(panel, down + row * down_stride, down_stride, ranks, sums + row);
    }
  };
  run(std::integral_constant<int, kMostUpRows>());
  run(std::integral_constant<int, 1>());
}

void low_rank_down(FloatKind kind, const std::byte* panel, const std::byte* end, const float* x,
                   size_t x_stride, int rows, int columns, float* out, size_t out_stride) {
  if (kind == FloatKind::kF32) {
    down_panel<FloatKind::kF32>(panel, end, x, x_stride, rows, columns, out, out_stride);
  } else if (kind == FloatKind::kF16) {
    down_panel<FloatKind::kF16>(panel, end, x, x_stride, rows, columns, out, out_stride);
  } else {
    down_panel<FloatKind::kBF16>(panel, end, x, x_stride, rows, columns, out, out_stride);
  }
}

void low_rank_up(FloatKind kind, const std::byte* panel, const float* down, size_t down_stride,
                 int rows, int ranks, float (*sums)[kPanelRows]) {
  if (kind == FloatKind::kF32) {
    up_panel<FloatKind::kF32>(panel, down, down_stride, rows, ranks, sums);
  } else if (kind == FloatKind::kF16) {
    up_panel<FloatKind::kF16>(panel, down, down_stride, rows, ranks, sums);
  } else {
    up_panel<FloatKind::kBF16>(panel, down, down_stride, rows, ranks, sums);
  }
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::cpu {

HWY_EXPORT(low_rank_down);
HWY_EXPORT(low_rank_up);

namespace {

constexpr int kPartColumns = 256;  // of A x that make a partial sum

FloatKind kind_of(const Format& format) {
  if (&format == &kF32) return FloatKind::kF32;
  if (&format == &kF16) return FloatKind::kF16;
  if (&format == &kBF16) return FloatKind::kBF16;
  fail("a low-rank adapter in {}: expected F32, F16 or BF16", format.name);
}

constexpr size_t bytes_of(FloatKind kind) {
  return kind == FloatKind::kF32 ? 4 : 2;
}

int rounded_up(int value, int to) {
  return (value + to - 1) / to * to;
}

void check(const Backend::WeightPart& part, const Format& format, int columns) {
  if (part.format != &format) fail("a low-rank adapter in two formats");
  const uint64_t bytes =
      checked_mul(format.row_bytes(static_cast<uint64_t>(columns)),
                  static_cast<uint64_t>(part.rows), "bytes of a low-rank adapter");
  if (part.rows <= 0 || part.source != nullptr || part.bytes.size() != bytes)
    fail("{} x {} weights of a low-rank adapter take {} bytes, not {}", part.rows, columns, bytes,
         part.bytes.size());
}

// Row r of `part` becomes lane (first + r) % lanes of panel (first + r) / lanes: [column][lane].
void repack(const Backend::WeightPart& part, int columns, int first, int lanes, size_t value_bytes,
            std::byte* to) {
  for (int r = 0; r < part.rows; ++r) {
    const std::byte* row = part.bytes.data() + static_cast<size_t>(r) * columns * value_bytes;
    const auto panel = static_cast<size_t>((first + r) / lanes);
    const auto lane = static_cast<size_t>((first + r) % lanes);
    std::byte* out = to + (panel * columns * lanes + lane) * value_bytes;
    for (int c = 0; c < columns; ++c, out += lanes * value_bytes)
      std::memcpy(out, row + c * value_bytes, value_bytes);
  }
}

}  // namespace

std::unique_ptr<LowRank> load_low_rank(WeightArena& arena,
                                       std::span<const Backend::LowRankDown> downs,
                                       std::span<const Backend::LowRankUp> ups, int rows,
                                       int columns) {
  if (downs.empty() || ups.empty() || rows <= 0 || columns <= 0) fail("an empty low-rank adapter");
  auto result = std::make_unique<CpuLowRank>();
  result->rows = rows;
  result->columns = columns;
  const Format& format = *downs[0].weights.format;
  result->kind = kind_of(format);
  const size_t value_bytes = bytes_of(result->kind);
  std::vector<int> first_ranks;
  for (const auto& [part, scale] : downs) {
    check(part, format, columns);
    first_ranks.push_back(result->ranks);
    result->ranks += part.rows;
    result->values += static_cast<size_t>(part.rows) * columns;
  }
  result->ranks = rounded_up(result->ranks, kRankLanes);
  const size_t down_offset = static_cast<size_t>(result->ranks) * sizeof(float);
  size_t bytes = down_offset + static_cast<size_t>(result->ranks) * columns * value_bytes;
  std::vector<size_t> offsets;
  for (const Backend::LowRankUp& up : ups) {
    const int ranks = downs[static_cast<size_t>(up.down)].weights.rows;
    check(up.weights, format, ranks);
    if (up.first_row < 0 || up.weights.rows > rows - up.first_row)
      fail("low-rank adapter: rows {} to {} of a matrix of {} rows", up.first_row,
           up.first_row + up.weights.rows, rows);
    offsets.push_back(bytes);
    const size_t panels = static_cast<size_t>(rounded_up(up.weights.rows, kPanelRows));
    bytes += panels * static_cast<size_t>(ranks) * value_bytes;
    result->values += static_cast<size_t>(up.weights.rows) * ranks;
    result->ups.push_back({.first_row = up.first_row,
                           .rows = up.weights.rows,
                           .first_rank = first_ranks[static_cast<size_t>(up.down)],
                           .ranks = ranks});
  }
  result->bytes = bytes;
  result->data = arena.take(bytes);
  auto* scales = reinterpret_cast<float*>(result->data.get());
  std::byte* down = result->data.get() + down_offset;
  result->scales = scales;
  result->down = down;
  for (size_t i = 0; i < downs.size(); ++i) {
    const auto& [part, scale] = downs[i];
    std::fill_n(scales + first_ranks[i], part.rows, scale);
    repack(part, columns, first_ranks[i], kRankLanes, value_bytes, down);
  }
  for (size_t i = 0; i < ups.size(); ++i) {
    std::byte* panels = result->data.get() + offsets[i];
    repack(ups[i].weights, result->ups[i].ranks, 0, kPanelRows, value_bytes, panels);
    result->ups[i].panels = panels;
  }
  return result;
}

AddedProducts::AddedProducts(Scratch& scratch, int threads, std::span<const LowRankRows> added,
                             HostTensor x)
    : x_(x) {
  if (added.empty() || x.rows == 0) return;
  parts_ = (x.columns + kPartColumns - 1) / kPartColumns;
  const auto size_of = [&](const Entry& entry) {
    return entry.rows.size() * static_cast<size_t>(entry.weights->ranks) *
           static_cast<size_t>(parts_);
  };
  size_t floats = 0;
  for (const LowRankRows& one : added) {
    const auto* weights = dynamic_cast<const CpuLowRank*>(one.weights);
    entries_.push_back({weights, one.rows, one.scales, nullptr});
    floats += size_of(entries_.back());
  }
  Arena arena = scratch.reserve(floats * sizeof(float), added.size());
  constexpr int kMostRowsOfUnit = 64;
  for (size_t e = 0; e < entries_.size(); ++e) {
    Entry& entry = entries_[e];
    entry.down = arena.take<float>(size_of(entry));
    const auto size = static_cast<int>(entry.rows.size());
    for (int first = 0, end = 0; first < size; first = end) {
      for (end = first + 1; end < size && end - first < kMostRowsOfUnit; ++end) {
        if (entry.rows[end] != entry.rows[end - 1] + 1) break;
      }
      for (int panel = 0; panel < entry.weights->ranks / kRankLanes; ++panel) {
        for (int part = 0; part < parts_; ++part)
          units_.push_back({e, first, end - first, panel, part});
      }
    }
  }
  // Few rows are a matter of reading: long stretches, and a small A by the one thread that is here,
  // while the others come and begin with W x. Many rows are a matter of arithmetic.
  constexpr int kWorthUnits = 4;
  const int share = (static_cast<int>(units_.size()) + threads - 1) / threads;
  units_of_piece_ = static_cast<size_t>(std::max(1, std::max(share, kWorthUnits) / x.rows));
  unfinished_.store(pieces(), std::memory_order_relaxed);
}

int AddedProducts::pieces() const {
  return static_cast<int>((units_.size() + units_of_piece_ - 1) / units_of_piece_);
}

// Where the unit's part of A is.
std::span<const std::byte> AddedProducts::part_of(const Unit& unit) const {
  const CpuLowRank& weights = *entries_[unit.entry].weights;
  const size_t column_bytes = kRankLanes * bytes_of(weights.kind);
  const int first = unit.part * kPartColumns;
  const auto at = static_cast<size_t>(unit.panel) * x_.columns + first;
  return {weights.down + at * column_bytes,
          static_cast<size_t>(std::min(kPartColumns, x_.columns - first)) * column_bytes};
}

void AddedProducts::run(int piece) noexcept {
  const size_t first = static_cast<size_t>(piece) * units_of_piece_;
  const size_t end = std::min(units_.size(), first + units_of_piece_);
  const Unit& last = units_[end - 1];
  for (size_t u = first; u < end; ++u) {
    const bool together = units_[u].entry == last.entry && units_[u].first == last.first;
    const auto part = part_of(together ? last : units_[u]);
    run(units_[u], part.data() + part.size());
  }
  if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  finish();
  ready_.store(true, std::memory_order_release);
}

// For a microsecond or so; longer only for a thread that has lost its core.
void AddedProducts::wait() const {
  constexpr int kSpins = 1000;
  for (int i = 0; !ready_.load(std::memory_order_acquire); ++i) {
    if (i < kSpins) {
      relax();
    } else {
      std::this_thread::yield();
    }
  }
}

void AddedProducts::run(const Unit& unit, const std::byte* end) const {
  const Entry& entry = entries_[unit.entry];
  const CpuLowRank& weights = *entry.weights;
  const int first_column = unit.part * kPartColumns;
  const int columns = std::min(kPartColumns, x_.columns - first_column);
  float* out = entry.down + (unit.part * entry.rows.size() + unit.first) * weights.ranks +
               unit.panel * kRankLanes;
  HWY_DYNAMIC_DISPATCH(low_rank_down)
  (weights.kind, part_of(unit).data(), end, x_.row(entry.rows[unit.first]) + first_column,
   static_cast<size_t>(x_.stride), unit.count, columns, out, static_cast<size_t>(weights.ranks));
}

void AddedProducts::finish() {
  for (const Entry& entry : entries_) {
    const auto ranks = static_cast<size_t>(entry.weights->ranks);
    const size_t size = entry.rows.size() * ranks;
    for (int part = 1; part < parts_; ++part) {
      for (size_t i = 0; i < size; ++i) entry.down[i] += entry.down[part * size + i];
    }
    for (size_t r = 0; r < entry.rows.size(); ++r) {
      const float scale = entry.scales[r];
      for (size_t k = 0; k < ranks; ++k)
        entry.down[r * ranks + k] *= scale * entry.weights->scales[k];
    }
  }
}

const std::byte* AddedProducts::find_panel(const CpuLowRank& weights, int first_row,
                                           const CpuLowRank::Up*& up) {
  for (const CpuLowRank::Up& part : weights.ups) {
    if (first_row < part.first_row || first_row >= part.first_row + part.rows) continue;
    up = &part;
    const size_t bytes = static_cast<size_t>(part.ranks) * kPanelRows * bytes_of(weights.kind);
    return part.panels + static_cast<size_t>((first_row - part.first_row) / kPanelRows) * bytes;
  }
  return nullptr;
}

void AddedProducts::fetch(int first_row) const {
  constexpr size_t kMostEntries = 4, kMostBytes = 4096;  // that the first-level cache has room for
  for (size_t e = 0; e < std::min(entries_.size(), kMostEntries); ++e) {
    const CpuLowRank& weights = *entries_[e].weights;
    const CpuLowRank::Up* up = nullptr;
    const std::byte* panel = find_panel(weights, first_row, up);
    if (panel == nullptr) continue;
    const size_t bytes = static_cast<size_t>(up->ranks) * kPanelRows * bytes_of(weights.kind);
    for (size_t line = 0; line < std::min(bytes, kMostBytes); line += 64) {
      __builtin_prefetch(panel + line + 2 * bytes, 0, 2);  // of a panel to come
      __builtin_prefetch(panel + line);
    }
  }
}

void AddedProducts::add(int first_row, int begin, int end, float (*sums)[kPanelRows]) const {
  for (const Entry& entry : entries_) {
    const CpuLowRank& weights = *entry.weights;
    const CpuLowRank::Up* up = nullptr;
    const std::byte* panel = find_panel(weights, first_row, up);
    if (panel == nullptr) continue;
    const size_t ranks = static_cast<size_t>(weights.ranks);
    const auto size = static_cast<int>(entry.rows.size());
    int row = static_cast<int>(std::ranges::lower_bound(entry.rows, begin) - entry.rows.begin());
    while (row < size && entry.rows[row] < end) {
      wait();
      int next = row + 1;  // behind those that lie together
      while (next < size && entry.rows[next] < end && entry.rows[next] == entry.rows[next - 1] + 1)
        ++next;
      HWY_DYNAMIC_DISPATCH(low_rank_up)
      (weights.kind, panel, entry.down + row * ranks + up->first_rank, ranks, next - row, up->ranks,
       sums + (entry.rows[row] - begin));
      row = next;
    }
  }
}

}  // namespace tessera::cpu
#endif
