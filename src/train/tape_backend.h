// The backend that models are trained on: it computes in f32, whatever a checkpoint's weights are
// stored in, and can go back through all that was computed. So the model that is trained is the one
// that serves (model/layers/), and what a family is made of is said once.
//
// While it records, an operation notes how to go back through it. Going back walks the notes from
// the last to the first: each turns the adjoint of what the operation wrote, d loss / d value, into
// those of what it read, and ends it there, since what lay in that place before is another value
// (reverse mode: Griewank & Walther 2008). Activations that live in one place one after the other,
// as a model's workspace has them, need no names of their own that way.
//
// A step holds whole texts, each from its first token on. The same bits for any number of threads.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "base/thread_pool.h"
#include "train/arena.h"
#include "train/operations/attention.h"
#include "train/tape_weights.h"

namespace tessera::train {

class TapeBackend final : public Backend {
 public:
  explicit TapeBackend(ThreadPool& pool);
  ~TapeBackend() override;

  // --- the way back
  // Notes what follows.
  void record() { records_ = true; }
  // d loss / d x, to be set before going back, or read behind it. Adjoints are 0 at first.
  static HostTensor adjoint(Tensor x);
  // From the last operation to the first that was noted, and forgets them. Weights, prepared rows
  // and KV stores of these must still be there. Adds to the gradients of what is learned.
  void go_back();

  // --- Backend. What has no gradient yet is an Error that names it.
  std::string description() const override { return "training in f32"; }
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

  void gather_rows(Tensor x, std::span<const int32_t> rows, Tensor out) override;
  void rms_norm(Tensor x, const Vector& weight, float epsilon, Tensor out) override;
  void layer_norm(Tensor x, const Vector& weight, const Vector* bias, float epsilon,
                  Tensor out) override;
  void linear(const Matrix& weights, Tensor x, const Vector* bias, Tensor out,
              std::span<const LowRankRows> added = {}) override;
  void linear_gated(const Matrix& weights, Tensor x, const Vector* bias, Activation activation,
                    Tensor out, std::span<const LowRankRows> added = {}) override;
  void activate(Activation activation, Tensor x) override;
  void rope(const RopeTable& rope, int head_dim, PreparedRows& rows, Tensor x) override;
  void write_kv(KvStore& kv, int layer, PreparedRows& rows, Tensor k, Tensor v) override;
  void copy_kv(KvStore& kv, std::span<const int32_t> from, std::span<const int32_t> to) override;
  void attend(const KvStore& kv, const AttentionParameters& parameters, Tensor q,
              PreparedRows& rows, Tensor out) override;
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
  class Memory;
  class Rows;
  class Kv;

  static HostTensor values(Tensor x);
  void note(std::function<void()> back) {
    if (records_) notes_.push_back(std::move(back));
  }
  // What lies there now, for the way back.
  HostRows keep(Tensor x) { return records_ ? HostRows(kept_.copy(values(x))) : HostRows(); }
  // The adjoint of what an operation wrote, which ends here. Until the next note.
  HostRows end(Tensor written);
  void normalize(bool centered, Tensor x, const Vector& weight, const Vector* bias, float epsilon,
                 Tensor out);
  // Products of a matrix with x, into rows without gaps or with.
  void multiply_out(const TapeMatrix& matrix, HostRows x, const Vector* bias, HostTensor out);
  void multiply_back(const TapeMatrix& matrix, HostRows x, const Vector* bias, HostRows dout,
                     HostTensor dx);

  ThreadPool& pool_;
  std::vector<std::unique_ptr<Memory>> memories_;
  bool records_ = false;
  std::vector<std::function<void()>> notes_;
  Arena kept_;     // by notes
  Arena scratch_;  // of one operation, or the way back through it
};

}  // namespace tessera::train
