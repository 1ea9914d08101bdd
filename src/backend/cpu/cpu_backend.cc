// The CPU behind the Backend interface: it only forwards to the operations beside it.
#include "backend/cpu/cpu_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "backend/cpu/attention.h"
#include "backend/cpu/attention_plan.h"
#include "backend/cpu/elementwise.h"
#include "backend/cpu/kv_store.h"
#include "backend/cpu/linear.h"
#include "backend/cpu/low_rank.h"
#include "backend/cpu/peaks.h"
#include "backend/cpu/recurrence.h"
#include "base/aligned_buffer.h"
#include "base/simd/target.h"

namespace tessera {
namespace {

// Here, backend memory is the host's.
class CpuMemory final : public Memory {
 public:
  explicit CpuMemory(size_t floats) : buffer_(floats * sizeof(float)) {}
  float* data() const { return data_; }

 private:
  AlignedBuffer buffer_;
  float* data_ = buffer_.as<float>().data();
};

HostTensor host(const Tensor& x) {
  float* data = x.memory == nullptr ? nullptr : static_cast<CpuMemory*>(x.memory)->data();
  return {data + x.offset, x.rows, x.columns, x.stride};
}

class CpuVector final : public Vector {
 public:
  explicit CpuVector(std::span<const float> given) : values(given.begin(), given.end()) {
    size = static_cast<int>(values.size());
  }
  const std::vector<float> values;
};

std::span<const float> host(const Vector* vector) {
  if (vector == nullptr) return {};
  return static_cast<const CpuVector*>(vector)->values;
}

class CpuRope final : public RopeTable {
 public:
  explicit CpuRope(Rope given) : rope(std::move(given)) {}
  const Rope rope;
};

class CpuRows final : public PreparedRows {
 public:
  explicit CpuRows(const RowMetadata& rows) : PreparedRows(rows), plans(rows.contexts) {}
  cpu::AttentionPlans plans;
};

class CpuBackend final : public Backend {
 public:
  CpuBackend(std::shared_ptr<ThreadPool> pool, const std::string& weights_folder)
      : pool_(std::move(pool)),
        weight_arena_(weights_folder.empty() ? nullptr
                                             : std::make_unique<SwapFile>(weights_folder)) {}

  std::string description() const override {
    return fmt::format("CPU, {}, {} thread{}", target_name(), pool_->threads(),
                       pool_->threads() == 1 ? "" : "s");
  }

  std::unique_ptr<Matrix> load_matrix(std::span<const WeightPart> parts, int columns) override {
    return cpu::load_matrix(*pool_, weight_arena_, parts, columns);
  }
  void prefetch(const Matrix& weights) override {
    cpu::prefetch(dynamic_cast<const cpu::CpuMatrix&>(weights));
  }
  std::unique_ptr<Vector> load_vector(std::span<const float> values) override {
    return std::make_unique<CpuVector>(values);
  }
  std::unique_ptr<LowRank> load_low_rank(std::span<const LowRankDown> downs,
                                         std::span<const LowRankUp> ups, int rows,
                                         int columns) override {
    return cpu::load_low_rank(weight_arena_, downs, ups, rows, columns);
  }
  std::unique_ptr<RopeTable> load_rope(const Rope& rope) override {
    return std::make_unique<CpuRope>(rope);
  }
  Tensor allocate(int rows, int columns) override {
    // Rows start on a cache line, and not all in the same set of the first-level cache.
    int stride = (columns + 15) / 16 * 16;
    if (stride % 256 == 0) stride += 16;
    auto& memory =
        memories_.emplace_back(std::make_unique<CpuMemory>(static_cast<size_t>(rows) * stride));
    return {memory.get(), 0, rows, columns, stride};
  }
  std::unique_ptr<KvStore> allocate_kv(const KvShape& shape) override {
    return cpu::allocate_kv(shape);
  }
  size_t kv_block_bytes(const KvShape& shape) const override { return cpu::kv_block_bytes(shape); }

  void upload(std::span<const float> values, Tensor into) override {
    const HostTensor to = host(into);
    for (int r = 0; r < to.rows; ++r) {
      std::copy_n(values.data() + static_cast<size_t>(r) * to.columns, to.columns, to.row(r));
    }
  }
  HostRows download(Tensor x) override { return host(x); }
  std::unique_ptr<PreparedRows> prepare(const RowMetadata& rows) override {
    return std::make_unique<CpuRows>(rows);
  }

  void gather_rows(Tensor x, std::span<const int32_t> rows, Tensor out) override {
    const HostTensor from = host(x), to = host(out);
    for (size_t i = 0; i < rows.size(); ++i)
      std::copy_n(from.row(rows[i]), from.columns, to.row(static_cast<int>(i)));
  }
  void rms_norm(Tensor x, const Vector& weight, float epsilon, Tensor out) override {
    cpu::rms_norm(*pool_, host(x), host(&weight), epsilon, host(out));
  }
  void layer_norm(Tensor x, const Vector& weight, const Vector* bias, float epsilon,
                  Tensor out) override {
    cpu::layer_norm(*pool_, host(x), host(&weight), host(bias), epsilon, host(out));
  }
  void linear(const Matrix& weights, Tensor x, const Vector* bias, Tensor out,
              std::span<const LowRankRows> added) override {
    cpu::linear(*pool_, linear_scratch_, weights, host(x), host(bias), host(out), added);
  }
  void linear_gated(const Matrix& weights, Tensor x, const Vector* bias, Activation activation,
                    Tensor out, std::span<const LowRankRows> added) override {
    cpu::linear_gated(*pool_, linear_scratch_, weights, host(x), host(bias), activation, host(out),
                      added);
  }
  void rope(const RopeTable& rope, int head_dim, PreparedRows& rows, Tensor x) override {
    cpu::rope(*pool_, static_cast<const CpuRope&>(rope).rope, head_dim, rows.host.positions,
              host(x));
  }
  void write_kv(KvStore& kv, int layer, PreparedRows& rows, Tensor k, Tensor v) override {
    cpu::write_kv(*pool_, kv, layer, rows.host.slots, host(k), host(v));
  }
  void copy_kv(KvStore& kv, std::span<const int32_t> from, std::span<const int32_t> to) override {
    cpu::copy_kv(kv, from, to);
  }
  void attend(const KvStore& kv, const AttentionParameters& parameters, Tensor q,
              PreparedRows& rows, Tensor out) override {
    cpu::attend(*pool_, kv, parameters, host(parameters.sinks), host(q),
                static_cast<CpuRows&>(rows).plans, host(out));
  }
  void activate(Activation activation, Tensor x) override {
    cpu::activate(*pool_, activation, host(x));
  }
  void gate(Activation activation, Tensor gate, Tensor x) override {
    cpu::gate(*pool_, activation, host(gate), host(x));
  }
  void convolve(KvStore& kv, int layer, const Vector& filter, const Vector* bias,
                PreparedRows& rows, Tensor x, Tensor out) override {
    cpu::convolve(*pool_, states_of(kv), layer, host(&filter), host(bias), rows.host.runs, host(x),
                  host(out));
  }
  void recur(KvStore& kv, const Recurrence& recurrence, PreparedRows& rows,
             const RecurrenceInputs& inputs, Tensor out) override {
    cpu::recur(*pool_, states_of(kv), recurrence, rows.host.runs,
               {.queries = host(inputs.queries),
                .keys = host(inputs.keys),
                .values = host(inputs.values),
                .decays = host(inputs.decays),
                .rates = host(inputs.rates)},
               host(out));
  }
  void keep_states(KvStore& kv, std::span<const StatePath> paths) override {
    cpu::keep_states(*pool_, states_of(kv), paths);
  }
  void add(Tensor x, Tensor into) override { cpu::add(*pool_, host(x), host(into)); }
  void scale_and_cap(float factor, float cap, Tensor x) override {
    cpu::scale_and_cap(*pool_, factor, cap, host(x));
  }
  void on_host(std::span<const Tensor> inputs, Tensor into, HostOperation operation) override {
    std::vector<HostRows> rows;
    for (const Tensor& input : inputs) rows.emplace_back(host(input));
    operation(rows, host(into));
  }

 private:
  static cpu::StateStore& states_of(KvStore& kv) {
    return static_cast<cpu::CpuKvStore&>(kv).states;
  }

  std::shared_ptr<ThreadPool> pool_;
  cpu::WeightArena weight_arena_;
  cpu::LinearScratch linear_scratch_;
  std::vector<std::unique_ptr<CpuMemory>> memories_;
};

class CpuMeter final : public Meter {
 public:
  explicit CpuMeter(std::shared_ptr<ThreadPool> pool) : pool_(std::move(pool)) {}

  Peaks measure_peaks() override { return cpu::measure_peaks(*pool_); }
  void time_sections(bool on) override { pool_->time_sections(on); }
  ParallelTime parallel_time() const override { return pool_->parallel_time(); }

 private:
  std::shared_ptr<ThreadPool> pool_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(std::shared_ptr<ThreadPool> pool,
                                          const std::string& weights_folder) {
  return std::make_unique<CpuBackend>(std::move(pool), weights_folder);
}
std::unique_ptr<Meter> make_cpu_meter(std::shared_ptr<ThreadPool> pool) {
  return std::make_unique<CpuMeter>(std::move(pool));
}

}  // namespace tessera
