#include "evaluate/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/timer.h"

namespace tessera {
namespace {

double size_of(const Tensor& x) {
  return static_cast<double>(x.rows) * x.columns;
}
double bytes_of(const Tensor& x) {
  return size_of(x) * sizeof(float);
}

// An operation on activations alone: `bytes` of them in and out, `macs` multiply-adds.
Work activations(double bytes, double macs = 0) {
  return {.memory_bytes = 0, .activation_bytes = bytes, .dot_macs = 0, .float_macs = macs};
}

// Each weight of what is added is multiplied once for each of its rows.
Work work_of_linear(const Matrix& w, const Tensor& x, const Vector* bias, const Tensor& out,
                    std::span<const LowRankRows> added) {
  const double macs_of_row = static_cast<double>(w.columns) * x.rows;
  Work work{.memory_bytes = static_cast<double>(
                w.bytes + (bias == nullptr ? 0 : static_cast<size_t>(bias->size) * sizeof(float))),
            .activation_bytes = bytes_of(x) + bytes_of(out),
            .dot_macs = macs_of_row * w.dot_rows,
            .float_macs = macs_of_row * (w.rows - w.dot_rows)};
  for (const LowRankRows& one : added) {
    work.memory_bytes += static_cast<double>(one.weights->bytes);
    work.float_macs += static_cast<double>(one.rows.size() * one.weights->values);
  }
  return work;
}

// What a token's key and value take in one layer.
double token_bytes(const Backend& backend, const KvStore& kv, int layer) {
  const KvShape shape{.layers = {kv.shape.layers[static_cast<size_t>(layer)]},
                      .blocks = 1,
                      .format = kv.shape.format};
  return static_cast<double>(backend.kv_block_bytes(shape)) / kBlockTokens;
}

// Rows that follow each other in one sequence read its keys once, together: those in place from the
// first that any row sees, and each tree node's own.
Work work_of_attend(double bytes_of_token, const AttentionParameters& parameters, const Tensor& q,
                    std::span<const RowContext> contexts, const Tensor& out) {
  int64_t seen = 0, read = 0;  // keys
  for (size_t i = 0; i < contexts.size();) {
    const int32_t* sequence = contexts[i].block_table.data();
    int first = contexts[i].position, end = 0;
    for (; i < contexts.size() && contexts[i].block_table.data() == sequence; ++i) {
      const RowContext& row = contexts[i];
      const int begin = parameters.chunk > 0    ? row.position / parameters.chunk * parameters.chunk
                        : parameters.window > 0 ? std::max(0, row.position - parameters.window + 1)
                                                : 0;
      const int ahead =
          parameters.window > 0 ? std::min<int>(row.ahead, parameters.window - 1) : row.ahead;
      seen += row.position + ahead + 1 - begin;
      first = std::min(first, begin);
      end = std::max<int>(end, row.direct);
      if (!row.tail.empty()) ++read;
    }
    read += std::max(0, end - first);
  }
  return {.memory_bytes = static_cast<double>(read) * bytes_of_token,
          .activation_bytes = bytes_of(q) + bytes_of(out),
          .dot_macs = 0,
          .float_macs = 2.0 * static_cast<double>(seen) * q.columns};
}

}  // namespace

Work& Work::operator+=(const Work& other) {
  memory_bytes += other.memory_bytes;
  activation_bytes += other.activation_bytes;
  dot_macs += other.dot_macs;
  float_macs += other.float_macs;
  return *this;
}

std::string OperationProfile::label() const {
  if (rows == 0) return name;
  return fmt::format("{} {} {}x{}", matrix.empty() ? name : matrix, formats, rows, columns);
}

OperationProfile& ProfilingBackend::find(std::string_view name, const Matrix* matrix) {
  for (OperationProfile& operation : operations_) {
    if (operation.name != name) continue;
    if (matrix == nullptr
            ? operation.rows == 0
            : operation.rows == matrix->rows && operation.columns == matrix->columns &&
                  operation.matrix == matrix->name && operation.formats == matrix->formats) {
      return operation;
    }
  }
  OperationProfile& operation = operations_.emplace_back();
  operation.name = name;
  if (matrix != nullptr) {
    operation.matrix = matrix->name;
    operation.formats = matrix->formats;
    operation.rows = matrix->rows;
    operation.columns = matrix->columns;
  }
  return operation;
}

void ProfilingBackend::record(std::string_view name, const Matrix* matrix, const Work& work,
                              FunctionRef<void()> call) {
  const Timer timer;
  call();
  backend().wait();  // the time of what is only queued is its own, too
  const double seconds = timer.seconds();
  OperationProfile& operation = find(name, matrix);
  ++operation.calls;
  operation.seconds += seconds;
  operation.work += work;
}

void ProfilingBackend::upload(std::span<const float> host, Tensor into) {
  record("upload", activations(2 * bytes_of(into)), [&] { backend().upload(host, into); });
}
void ProfilingBackend::gather_rows(Tensor x, std::span<const int32_t> rows, Tensor out) {
  record("gather", activations(2 * bytes_of(out)), [&] { backend().gather_rows(x, rows, out); });
}
void ProfilingBackend::rms_norm(Tensor x, const Vector& weight, float epsilon, Tensor out) {
  record("norm", activations(2 * bytes_of(x), 2 * size_of(x)),
         [&] { backend().rms_norm(x, weight, epsilon, out); });
}
void ProfilingBackend::layer_norm(Tensor x, const Vector& weight, const Vector* bias, float epsilon,
                                  Tensor out) {
  record("norm", activations(2 * bytes_of(x), 3 * size_of(x)),
         [&] { backend().layer_norm(x, weight, bias, epsilon, out); });
}
void ProfilingBackend::linear(const Matrix& weights, Tensor x, const Vector* bias, Tensor out,
                              std::span<const LowRankRows> added) {
  record("linear", &weights, work_of_linear(weights, x, bias, out, added),
         [&] { backend().linear(weights, x, bias, out, added); });
}
void ProfilingBackend::linear_gated(const Matrix& weights, Tensor x, const Vector* bias,
                                    Activation activation, Tensor out,
                                    std::span<const LowRankRows> added) {
  record("linear", &weights, work_of_linear(weights, x, bias, out, added),
         [&] { backend().linear_gated(weights, x, bias, activation, out, added); });
}
void ProfilingBackend::rope(const RopeTable& rope, int head_dim, PreparedRows& rows, Tensor x) {
  record("rope", activations(2 * bytes_of(x), 2 * size_of(x)),
         [&] { backend().rope(rope, head_dim, rows, x); });
}
void ProfilingBackend::write_kv(KvStore& kv, int layer, PreparedRows& rows, Tensor k, Tensor v) {
  const double stored = k.rows * token_bytes(backend(), kv, layer);
  record("write KV", activations(bytes_of(k) + bytes_of(v) + stored),
         [&] { backend().write_kv(kv, layer, rows, k, v); });
}
void ProfilingBackend::copy_kv(KvStore& kv, std::span<const int32_t> from,
                               std::span<const int32_t> to) {
  const double token = static_cast<double>(kv.block_bytes) / kBlockTokens;
  record("copy KV", activations(2 * token * static_cast<double>(from.size())),
         [&] { backend().copy_kv(kv, from, to); });
}
void ProfilingBackend::attend(const KvStore& kv, const AttentionParameters& parameters, Tensor q,
                              PreparedRows& rows, Tensor out) {
  const double token = token_bytes(backend(), kv, parameters.layer);
  record("attention", work_of_attend(token, parameters, q, rows.host.contexts, out),
         [&] { backend().attend(kv, parameters, q, rows, out); });
}
void ProfilingBackend::activate(Activation activation, Tensor x) {
  record("activation", activations(2 * bytes_of(x)), [&] { backend().activate(activation, x); });
}
void ProfilingBackend::add(Tensor x, Tensor into) {
  record("add", activations(3 * bytes_of(x), size_of(x)), [&] { backend().add(x, into); });
}
void ProfilingBackend::gate(Activation activation, Tensor gate, Tensor x) {
  record("gate", activations(3 * bytes_of(x), size_of(x)),
         [&] { backend().gate(activation, gate, x); });
}
void ProfilingBackend::scale_and_cap(float factor, float cap, Tensor x) {
  record("cap", activations(2 * bytes_of(x), size_of(x)),
         [&] { backend().scale_and_cap(factor, cap, x); });
}

void ProfilingBackend::convolve(KvStore& kv, int layer, const Vector& filter, const Vector* bias,
                                PreparedRows& rows, Tensor x, Tensor out) {
  const int taps = kv.shape.layers[static_cast<size_t>(layer)].state.taps;
  record("convolution", activations(2 * bytes_of(x), taps * size_of(x)),
         [&] { backend().convolve(kv, layer, filter, bias, rows, x, out); });
}
void ProfilingBackend::recur(KvStore& kv, const Recurrence& recurrence, PreparedRows& rows,
                             const RecurrenceInputs& inputs, Tensor out) {
  const StateLayer& state = kv.shape.layers[static_cast<size_t>(recurrence.layer)].state;
  const double values = static_cast<double>(state.heads) * state.key_dim * state.value_dim;
  // A text's state is read and written once, whatever its rows; each row decays it, adds to it and
  // asks it, by the delta rule twice.
  const double products = (recurrence.delta_rule ? 4 : 3) * values * out.rows;
  const double states = 2 * sizeof(float) * values * static_cast<double>(rows.host.runs.size());
  record("recurrence", activations(states + 2 * bytes_of(out), products),
         [&] { backend().recur(kv, recurrence, rows, inputs, out); });
}
void ProfilingBackend::keep_states(KvStore& kv, std::span<const StatePath> paths) {
  record("keep states", activations(0), [&] { backend().keep_states(kv, paths); });
}

void ProfilingBackend::on_host(std::span<const Tensor> inputs, Tensor into,
                               HostOperation operation) {
  double bytes = bytes_of(into);
  for (const Tensor& input : inputs) bytes += bytes_of(input);
  record("on host", activations(bytes), [&] { backend().on_host(inputs, into, operation); });
}

}  // namespace tessera
