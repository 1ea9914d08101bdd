#include "backend/forwarding_backend.h"

namespace tessera {

std::unique_ptr<Matrix> ForwardingBackend::load_matrix(std::span<const WeightPart> parts,
                                                       int columns) {
  return backend_->load_matrix(parts, columns);
}
std::unique_ptr<Vector> ForwardingBackend::load_vector(std::span<const float> values) {
  return backend_->load_vector(values);
}
std::unique_ptr<LowRank> ForwardingBackend::load_low_rank(std::span<const LowRankDown> downs,
                                                          std::span<const LowRankUp> ups, int rows,
                                                          int columns) {
  return backend_->load_low_rank(downs, ups, rows, columns);
}
std::unique_ptr<RopeTable> ForwardingBackend::load_rope(const Rope& rope) {
  return backend_->load_rope(rope);
}
Tensor ForwardingBackend::allocate(int rows, int columns) {
  return backend_->allocate(rows, columns);
}
std::unique_ptr<KvStore> ForwardingBackend::allocate_kv(const KvShape& shape) {
  return backend_->allocate_kv(shape);
}
size_t ForwardingBackend::kv_block_bytes(const KvShape& shape) const {
  return backend_->kv_block_bytes(shape);
}

void ForwardingBackend::upload(std::span<const float> host, Tensor into) {
  backend_->upload(host, into);
}
HostRows ForwardingBackend::download(Tensor x) {
  return backend_->download(x);
}
std::unique_ptr<PreparedRows> ForwardingBackend::prepare(const RowMetadata& rows) {
  return backend_->prepare(rows);
}
void ForwardingBackend::submit() {
  backend_->submit();
}
void ForwardingBackend::wait() {
  backend_->wait();
}

void ForwardingBackend::gather_rows(Tensor x, std::span<const int32_t> rows, Tensor out) {
  backend_->gather_rows(x, rows, out);
}
void ForwardingBackend::rms_norm(Tensor x, const Vector& weight, float epsilon, Tensor out) {
  backend_->rms_norm(x, weight, epsilon, out);
}
void ForwardingBackend::layer_norm(Tensor x, const Vector& weight, const Vector* bias,
                                   float epsilon, Tensor out) {
  backend_->layer_norm(x, weight, bias, epsilon, out);
}
void ForwardingBackend::linear(const Matrix& weights, Tensor x, const Vector* bias, Tensor out,
                               std::span<const LowRankRows> added) {
  backend_->linear(weights, x, bias, out, added);
}
void ForwardingBackend::linear_gated(const Matrix& weights, Tensor x, const Vector* bias,
                                     Activation activation, Tensor out,
                                     std::span<const LowRankRows> added) {
  backend_->linear_gated(weights, x, bias, activation, out, added);
}
void ForwardingBackend::rope(const RopeTable& rope, int head_dim, PreparedRows& rows, Tensor x) {
  backend_->rope(rope, head_dim, rows, x);
}
void ForwardingBackend::write_kv(KvStore& kv, int layer, PreparedRows& rows, Tensor k, Tensor v) {
  backend_->write_kv(kv, layer, rows, k, v);
}
void ForwardingBackend::copy_kv(KvStore& kv, std::span<const int32_t> from,
                                std::span<const int32_t> to) {
  backend_->copy_kv(kv, from, to);
}
void ForwardingBackend::attend(const KvStore& kv, const AttentionParameters& parameters, Tensor q,
                               PreparedRows& rows, Tensor out) {
  backend_->attend(kv, parameters, q, rows, out);
}
void ForwardingBackend::activate(Activation activation, Tensor x) {
  backend_->activate(activation, x);
}
void ForwardingBackend::add(Tensor x, Tensor into) {
  backend_->add(x, into);
}
void ForwardingBackend::gate(Activation activation, Tensor gate, Tensor x) {
  backend_->gate(activation, gate, x);
}
void ForwardingBackend::convolve(KvStore& kv, int layer, const Vector& filter, const Vector* bias,
                                 PreparedRows& rows, Tensor x, Tensor out) {
  backend_->convolve(kv, layer, filter, bias, rows, x, out);
}
void ForwardingBackend::recur(KvStore& kv, const Recurrence& recurrence, PreparedRows& rows,
                              const RecurrenceInputs& inputs, Tensor out) {
  backend_->recur(kv, recurrence, rows, inputs, out);
}
void ForwardingBackend::keep_states(KvStore& kv, std::span<const StatePath> paths) {
  backend_->keep_states(kv, paths);
}
void ForwardingBackend::scale_and_cap(float factor, float cap, Tensor x) {
  backend_->scale_and_cap(factor, cap, x);
}
void ForwardingBackend::on_host(std::span<const Tensor> inputs, Tensor into,
                                HostOperation operation) {
  backend_->on_host(inputs, into, operation);
}

}  // namespace tessera
