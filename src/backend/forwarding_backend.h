// A backend that hands everything on to another: the base of those that watch what passes.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "backend/backend.h"

namespace tessera {

// What Backend can do, all of it: whoever adds an operation there adds it here.
class ForwardingBackend : public Backend {
 public:
  explicit ForwardingBackend(std::shared_ptr<Backend> backend) : backend_(std::move(backend)) {}

  std::string description() const override { return backend_->description(); }

  std::unique_ptr<Matrix> load_matrix(std::span<const WeightPart> parts, int columns) override;
  std::unique_ptr<Vector> load_vector(std::span<const float> values) override;
  std::unique_ptr<LowRank> load_low_rank(std::span<const LowRankDown> downs,
                                         std::span<const LowRankUp> ups, int rows,
                                         int columns) override;
  std::unique_ptr<RopeTable> load_rope(const Rope& rope) override;
  Tensor allocate(int rows, int columns) override;
  std::unique_ptr<KvStore> allocate_kv(const KvShape& shape) override;
  size_t kv_block_bytes(const KvShape& shape) const override;

  void upload(std::span<const float> host, Tensor into) override;
  HostRows download(Tensor x) override;
  std::unique_ptr<PreparedRows> prepare(const RowMetadata& rows) override;
  void submit() override;
  void wait() override;

  void gather_rows(Tensor x, std::span<const int32_t> rows, Tensor out) override;
  void rms_norm(Tensor x, const Vector& weight, float epsilon, Tensor out) override;
  void layer_norm(Tensor x, const Vector& weight, const Vector* bias, float epsilon,
                  Tensor out) override;
  void linear(const Matrix& weights, Tensor x, const Vector* bias, Tensor out,
              std::span<const LowRankRows> added) override;
  void linear_gated(const Matrix& weights, Tensor x, const Vector* bias, Activation activation,
                    Tensor out, std::span<const LowRankRows> added) override;
  void rope(const RopeTable& rope, int head_dim, PreparedRows& rows, Tensor x) override;
  void write_kv(KvStore& kv, int layer, PreparedRows& rows, Tensor k, Tensor v) override;
  void prefetch(const Matrix& weights) override { backend_->prefetch(weights); }
  void copy_kv(KvStore& kv, std::span<const int32_t> from, std::span<const int32_t> to) override;
  void attend(const KvStore& kv, const AttentionParameters& parameters, Tensor q,
              PreparedRows& rows, Tensor out) override;
  void activate(Activation activation, Tensor x) override;
  void add(Tensor x, Tensor into) override;
  void gate(Activation activation, Tensor gate, Tensor x) override;
  void convolve(KvStore& kv, int layer, const Vector& filter, const Vector* bias,
                PreparedRows& rows, Tensor x, Tensor out) override;
  void recur(KvStore& kv, const Recurrence& recurrence, PreparedRows& rows,
             const RecurrenceInputs& inputs, Tensor out) override;
  void keep_states(KvStore& kv, std::span<const StatePath> paths) override;
  void scale_and_cap(float factor, float cap, Tensor x) override;
  void on_host(std::span<const Tensor> inputs, Tensor into, HostOperation operation) override;

 protected:
  Backend& backend() const { return *backend_; }

 private:
  std::shared_ptr<Backend> backend_;
};

}  // namespace tessera
