// A sequence's attention, called as the backend calls it, for the tests of what it answers and of
// its exactness.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "backend/cpu/attention.h"
#include "base/half.h"
#include "base/simd/target.h"
#include "support/all_targets.h"
#include "support/random_floats.h"

namespace tessera::cpu::attention_support {

inline HostTensor as_tensor(Floats& x, int rows) {
  const int columns = static_cast<int>(x.size()) / rows;
  return {x.data(), rows, columns, columns};
}

// What the store keeps of a row, written plainly.
inline void round_row(KvFormat format, float* x, int count) {
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
  int chunk = 0;

  int kv_columns() const { return kv_heads * head_dim; }
  int columns() const { return heads * head_dim; }
  AttentionParameters parameters(int layer = 1) const {
    return {.layer = layer,
            .heads = heads,
            .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
            .soft_cap = soft_cap,
            .window = window,
            .chunk = chunk,
            .sinks = sinks,
            .slopes = slopes};
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

inline std::vector<int32_t> block_table(int blocks, int first, uint32_t shuffle_seed) {
  std::vector<int32_t> table(static_cast<size_t>(blocks));
  std::iota(table.begin(), table.end(), first);
  if (shuffle_seed != 0) std::shuffle(table.begin(), table.end(), std::mt19937(shuffle_seed));
  return table;
}

inline int slot_of(const std::vector<int32_t>& table, int position) {
  return table[static_cast<size_t>(position / kBlockTokens)] * kBlockTokens +
         position % kBlockTokens;
}

// A store of two layers whose every slot holds NaN until it is written.
inline std::unique_ptr<KvStore> poisoned_store(ThreadPool& pool, const Case& c, int blocks) {
  auto kv = allocate_kv({{{c.kv_heads, c.head_dim}, {c.kv_heads, c.head_dim}}, blocks, c.format});
  std::vector<int32_t> slots(static_cast<size_t>(blocks * kBlockTokens));
  std::iota(slots.begin(), slots.end(), 0);
  Floats nan(slots.size() * static_cast<size_t>(c.kv_columns()),
             std::numeric_limits<float>::quiet_NaN());
  const HostTensor rows = as_tensor(nan, static_cast<int>(slots.size()));
  for (int layer = 0; layer < 2; ++layer) write_kv(pool, *kv, layer, slots, rows, rows);
  return kv;
}

inline void write_positions(ThreadPool& pool, KvStore& kv, const Case& c, Sequence& s, int first,
                            const std::vector<int32_t>& slots) {
  const int rows = static_cast<int>(slots.size());
  const size_t offset = static_cast<size_t>(first) * c.kv_columns();
  write_kv(pool, kv, 1, slots, {s.k.data() + offset, rows, c.kv_columns(), c.kv_columns()},
           {s.v.data() + offset, rows, c.kv_columns(), c.kv_columns()});
}

inline void write_sequence(ThreadPool& pool, KvStore& kv, const Case& c, Sequence& s,
                           const std::vector<int32_t>& table, int count) {
  std::vector<int32_t> slots;
  for (int p = 0; p < count; ++p) slots.push_back(slot_of(table, p));
  write_positions(pool, kv, c, s, 0, slots);
}

inline RowContext direct_row(const std::vector<int32_t>& table, int position) {
  return {table, position, position + 1, {}};
}

// One call, whose plan no other layer shares.
inline void attend(ThreadPool& pool, const KvStore& kv, const AttentionParameters& parameters,
                   HostTensor q, std::span<const RowContext> contexts, HostTensor out) {
  AttentionPlans plans(contexts);
  const auto* sinks = static_cast<const Sinks*>(parameters.sinks);
  attend(pool, kv, parameters, sinks == nullptr ? std::span<const float>() : sinks->values, q,
         plans, out);
}

// Positions [first, last) of one sequence as one call.
inline Floats attend_chunk(ThreadPool& pool, const KvStore& kv, const Case& c, Sequence& s,
                           const std::vector<int32_t>& table, int first, int last) {
  std::vector<RowContext> contexts;
  for (int p = first; p < last; ++p) contexts.push_back(direct_row(table, p));
  Floats out(static_cast<size_t>(last - first) * c.columns());
  const HostTensor q{s.q.data() + static_cast<size_t>(first) * c.columns(), last - first,
                     c.columns(), c.columns()};
  attend(pool, kv, c.parameters(), q, contexts, as_tensor(out, last - first));
  return out;
}

inline bool same_bits(const Floats& a, const Floats& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

inline Floats part(const Floats& x, int first_row, int rows, int columns) {
  const auto begin = x.begin() + static_cast<ptrdiff_t>(first_row) * columns;
  return {begin, begin + static_cast<ptrdiff_t>(rows) * columns};
}

inline std::string describe(const Case& c) {
  return fmt::format(
      "{} heads, {} KV heads of {}, {} positions, {}, window {}, soft cap {}, chunks of {}, {}",
      c.heads, c.kv_heads, c.head_dim, c.length, c.format == KvFormat::kF16 ? "f16" : "q8_0",
      c.window, c.soft_cap, c.chunk, target_name());
}

}  // namespace tessera::cpu::attention_support
