// The CPU behind the Backend interface: it only forwards to the operations beside it.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/attention.h"
#include "backend/cpu/elementwise.h"
#include "backend/cpu/linear.h"
#include "backend/cpu/peaks.h"
#include "backend/cpu/target.h"
#include "backend/cpu/thread_pool.h"
#include "base/aligned_buffer.h"

namespace tessera {
namespace {

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(int threads) : pool_(threads) {}

  std::string description() const override {
    return fmt::format("CPU, {}, {} thread{}", cpu::target_name(), pool_.threads(),
                       pool_.threads() == 1 ? "" : "s");
  }

  std::unique_ptr<Matrix> load_matrix(std::span<const WeightPart> parts, int columns) override {
    return cpu::load_matrix(pool_, weight_arena_, parts, columns);
  }
  Tensor allocate(int rows, int columns) override {
    // Rows start on a cache line, and not all in the same set of the first-level cache.
    int stride = (columns + 15) / 16 * 16;
    if (stride % 256 == 0) stride += 16;
    auto& buffer = buffers_.emplace_back(static_cast<size_t>(rows) * stride * sizeof(float));
    return {buffer.as<float>().data(), rows, columns, stride};
  }
  std::unique_ptr<KvStore> allocate_kv(const KvShape& shape) override {
    return cpu::allocate_kv(shape);
  }

  void upload(std::span<const float> host, Tensor into) override {
    for (int r = 0; r < into.rows; ++r) {
      std::copy_n(host.data() + static_cast<size_t>(r) * into.columns, into.columns, into.row(r));
    }
  }
  void gather_rows(Tensor x, std::span<const int32_t> rows, Tensor out) override {
    for (size_t i = 0; i < rows.size(); ++i)
      std::copy_n(x.row(rows[i]), x.columns, out.row(static_cast<int>(i)));
  }
  void rms_norm(Tensor x, std::span<const float> weight, float epsilon, Tensor out) override {
    cpu::rms_norm(pool_, x, weight, epsilon, out);
  }
  void linear(const Matrix& weights, Tensor x, std::span<const float> bias, Tensor out) override {
    cpu::linear(pool_, linear_scratch_, weights, x, bias, out);
  }
  void linear_gated(const Matrix& weights, Tensor x, Activation activation, Tensor out) override {
    cpu::linear_gated(pool_, linear_scratch_, weights, x, activation, out);
  }
  void rope(const Rope& rope, int head_dim, std::span<const int32_t> positions, Tensor x) override {
    cpu::rope(pool_, rope, head_dim, positions, x);
  }
  void write_kv(KvStore& kv, int layer, std::span<const int32_t> slots, Tensor k,
                Tensor v) override {
    cpu::write_kv(pool_, kv, layer, slots, k, v);
  }
  void copy_kv(KvStore& kv, std::span<const int32_t> from, std::span<const int32_t> to) override {
    cpu::copy_kv(kv, from, to);
  }
  void attend(const KvStore& kv, const AttentionParameters& parameters, Tensor q,
              std::span<const RowContext> contexts, Tensor out) override {
    cpu::attend(pool_, kv, parameters, q, contexts, out);
  }
  void add(Tensor x, Tensor into) override { cpu::add(pool_, x, into); }
  void scale_and_cap(float factor, float cap, Tensor x) override {
    cpu::scale_and_cap(pool_, factor, cap, x);
  }

  void parallel_for(int count, FunctionRef<void(int index)> body) override {
    pool_.parallel_for(count, [&](int index, int) { body(index); });
  }

  Peaks measure_peaks() override { return cpu::measure_peaks(pool_); }
  void time_sections(bool on) override { pool_.time_sections(on); }
  ParallelTime parallel_time() const override { return pool_.parallel_time(); }

 private:
  cpu::ThreadPool pool_;
  cpu::WeightArena weight_arena_;
  cpu::LinearScratch linear_scratch_;
  std::vector<AlignedBuffer> buffers_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(int threads) {
  return std::make_unique<CpuBackend>(threads);
}

}  // namespace tessera
