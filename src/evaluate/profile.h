// Where a backend's time goes.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backend/forwarding_backend.h"
#include "base/function_ref.h"

namespace tessera {

// What an operation cannot do without.
struct Work {
  double memory_bytes = 0;      // weights and keys and values read, each once a call
  double activation_bytes = 0;  // in and out: these can stay in caches
  double dot_macs = 0;          // multiply-adds of int8
  double float_macs = 0;        // multiply-adds of f32

  double macs() const { return dot_macs + float_macs; }
  Work& operator+=(const Work& other);
  Work of_one(int of) const {
    return {memory_bytes / of, activation_bytes / of, dot_macs / of, float_macs / of};
  }
};

// All calls of one kind.
struct OperationProfile {
  std::string name;    // "linear", "attention", "norm", ...
  std::string matrix;  // linear: its Matrix's name, formats and shape
  std::string formats;
  int rows = 0, columns = 0;
  int64_t calls = 0;
  double seconds = 0;  // on the calling thread's clock
  Work work;

  std::string label() const;  // "down Q4_K 1536x8960"
};

// A backend that keeps account of another's operations. A new one of Backend is one more method
// here: record(name, work, call).
class ProfilingBackend final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;

  // Since the last reset, in the order of their first calls.
  const std::vector<OperationProfile>& operations() const { return operations_; }
  void reset() { operations_.clear(); }
  // Runs `call` and adds its time and work to the operation `name`; for what is none of Backend's.
  void record(std::string_view name, const Work& work, FunctionRef<void()> call) {
    record(name, nullptr, work, call);
  }

  void upload(std::span<const float> host, Tensor into) override;
  void gather_rows(Tensor x, std::span<const int32_t> rows, Tensor out) override;
  void rms_norm(Tensor x, const Vector& weight, float epsilon, Tensor out) override;
  void layer_norm(Tensor x, const Vector& weight, const Vector* bias, float epsilon,
                  Tensor out) override;
  void linear(const Matrix& weights, Tensor x, const Vector* bias, Tensor out,
              std::span<const LowRankRows> added) override;
  void rope(const RopeTable& rope, int head_dim, PreparedRows& rows, Tensor x) override;
  void write_kv(KvStore& kv, int layer, PreparedRows& rows, Tensor k, Tensor v) override;
  void copy_kv(KvStore& kv, std::span<const int32_t> from, std::span<const int32_t> to) override;
  void attend(const KvStore& kv, const AttentionParameters& parameters, Tensor q,
              PreparedRows& rows, Tensor out) override;
  void linear_gated(const Matrix& weights, Tensor x, const Vector* bias, Activation activation,
                    Tensor out, std::span<const LowRankRows> added) override;
  void activate(Activation activation, Tensor x) override;
  void add(Tensor x, Tensor into) override;
  void gate(Activation activation, Tensor gate, Tensor x) override;
  void scale_and_cap(float factor, float cap, Tensor x) override;
  void convolve(KvStore& kv, int layer, const Vector& filter, const Vector* bias,
                PreparedRows& rows, Tensor x, Tensor out) override;
  void recur(KvStore& kv, const Recurrence& recurrence, PreparedRows& rows,
             const RecurrenceInputs& inputs, Tensor out) override;
  void keep_states(KvStore& kv, std::span<const StatePath> paths) override;
  void on_host(std::span<const Tensor> inputs, Tensor into, HostOperation operation) override;

 private:
  void record(std::string_view name, const Matrix* matrix, const Work& work,
              FunctionRef<void()> call);
  OperationProfile& find(std::string_view name, const Matrix* matrix);

  std::vector<OperationProfile> operations_;
};

}  // namespace tessera
