#include "train/tape_backend.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"
#include "base/error.h"
#include "train/curves.h"
#include "train/operations/gate.h"
#include "train/operations/linear.h"
#include "train/operations/norm.h"
#include "train/operations/rope.h"
#include "train/row_ranges.h"

namespace tessera::train {
namespace {

class TapeRope final : public RopeTable {
 public:
  explicit TapeRope(Rope given) : rope(std::move(given)) {}
  const Rope rope;
};

[[noreturn]] void unsupported(std::string_view what) {
  fail("training does not support {} yet: there is no way back through them", what);
}

const TapeMatrix& of_tape(const Matrix& matrix) {
  return static_cast<const TapeMatrix&>(matrix);
}
const TapeVector& of_tape(const Vector& vector) {
  return static_cast<const TapeVector&>(vector);
}
std::span<const float> values_of(const Vector* vector) {
  return vector == nullptr ? std::span<const float>() : of_tape(*vector).values;
}

// The gradients of a vector's parts += `whole`.
void add_to_parts(const Vector* vector, std::span<const float> whole) {
  if (vector == nullptr) return;
  for (const TapeVector::Whole& part : of_tape(*vector).whole) {
    for (size_t i = 0; i < static_cast<size_t>(part.count); ++i)
      part.gradient[i] += whole[static_cast<size_t>(part.first) + i];
  }
}
bool is_learned(const Vector* vector) {
  return vector != nullptr && !of_tape(*vector).whole.empty();
}

void add_to(HostRows x, HostTensor into) {
  for (int r = 0; r < x.rows; ++r)
    std::ranges::transform(x.row(r), std::span(into.row(r), static_cast<size_t>(x.columns)),
                           into.row(r), std::plus());
}

// Columns [first, first + count).
HostRows columns_of(HostRows x, int first, int count) {
  return {x.data + first, x.rows, count, x.stride};
}

// `rows` rows of a part of a matrix, decoded.
void decode_rows(const Backend::WeightPart& part, int columns, int first, int rows, float* out) {
  const std::span<float> values(out, static_cast<size_t>(rows) * static_cast<size_t>(columns));
  const uint64_t row_bytes = part.format->row_bytes(static_cast<uint64_t>(columns));
  if (part.source == nullptr) {
    part.format->decode(part.bytes.data() + static_cast<uint64_t>(first) * row_bytes, values);
  } else {
    std::vector<std::byte> bytes(static_cast<uint64_t>(rows) * row_bytes);
    part.source->read(part.first_row + static_cast<uint64_t>(first), static_cast<uint64_t>(rows),
                      bytes.data());
    part.format->decode(bytes.data(), values);
  }
  if (!part.order.empty()) restore_order(part.order, values);
}

}  // namespace

// --- memory

class TapeBackend::Memory final : public tessera::Memory {
 public:
  explicit Memory(size_t floats)
      : values_(std::max<size_t>(floats, 1) * sizeof(float)), adjoints_(values_.size()) {}
  float* values() { return values_.as<float>().data(); }
  float* adjoints() { return adjoints_.as<float>().data(); }

 private:
  AlignedBuffer values_, adjoints_;
};

// Rows of whole texts.
class TapeBackend::Rows final : public PreparedRows {
 public:
  explicit Rows(const RowMetadata& rows) : PreparedRows(rows) {
    for (size_t r = 0; r < rows.positions.size(); ++r) {
      if (rows.positions[r] == 0) texts_.push_back({static_cast<int>(r), 0});
      TESSERA_ASSERT(!texts_.empty() && rows.positions[r] == texts_.back().count);
      ++texts_.back().count;
    }
  }
  std::span<const TextRows> texts() const { return texts_; }

 private:
  std::vector<TextRows> texts_;
};

// Keys and values of a step's rows, of the layer that wrote them last.
class TapeBackend::Kv final : public KvStore {
 public:
  Tensor keys, values;  // as wide as the widest layer's
  int layer = -1;
};

TapeBackend::TapeBackend(ThreadPool& pool) : pool_(pool) {}
TapeBackend::~TapeBackend() = default;

HostTensor TapeBackend::values(Tensor x) {
  return {static_cast<Memory&>(*x.memory).values() + x.offset, x.rows, x.columns, x.stride};
}

HostTensor TapeBackend::adjoint(Tensor x) {
  return {static_cast<Memory&>(*x.memory).adjoints() + x.offset, x.rows, x.columns, x.stride};
}

std::unique_ptr<Matrix> TapeBackend::load_matrix(std::span<const WeightPart> parts, int columns) {
  auto matrix = std::make_unique<TapeMatrix>();
  for (const WeightPart& part : parts) matrix->rows += part.rows;
  matrix->columns = columns;
  matrix->bytes = static_cast<size_t>(matrix->rows) * static_cast<size_t>(columns) * sizeof(float);
  matrix->values = AlignedBuffer(matrix->bytes);
  float* out = matrix->values.as<float>().data();
  for (const WeightPart& part : parts) {
    for_stretches(pool_, part.rows, [&](int first, int end, int) {
      decode_rows(part, columns, first, end - first,
                  out + static_cast<size_t>(first) * static_cast<size_t>(columns));
    });
    out += static_cast<size_t>(part.rows) * static_cast<size_t>(columns);
    if (part.on_read) part.on_read(part.bytes);
  }
  return matrix;
}

std::unique_ptr<Vector> TapeBackend::load_vector(std::span<const float> given) {
  auto vector = std::make_unique<TapeVector>();
  vector->values.assign(given.begin(), given.end());
  vector->size = static_cast<int>(given.size());
  return vector;
}

std::unique_ptr<LowRank> TapeBackend::load_low_rank(std::span<const LowRankDown>,
                                                    std::span<const LowRankUp>, int, int) {
  unsupported("adapters that a model was loaded with");
}

std::unique_ptr<RopeTable> TapeBackend::load_rope(const Rope& rope) {
  return std::make_unique<TapeRope>(rope);
}

Tensor TapeBackend::allocate(int rows, int columns) {
  memories_.push_back(
      std::make_unique<Memory>(static_cast<size_t>(rows) * static_cast<size_t>(columns)));
  return {memories_.back().get(), 0, rows, columns, columns};
}

std::unique_ptr<KvStore> TapeBackend::allocate_kv(const KvShape& shape) {
  auto kv = std::make_unique<Kv>();
  kv->shape = shape;
  kv->block_bytes = kv_block_bytes(shape);
  int widest = 0;
  for (const KvLayer& layer : shape.layers) widest = std::max(widest, layer.heads * layer.head_dim);
  kv->keys = allocate(shape.blocks * kBlockTokens, widest);
  kv->values = allocate(shape.blocks * kBlockTokens, widest);
  return kv;
}

size_t TapeBackend::kv_block_bytes(const KvShape& shape) const {
  size_t widest = 0;
  for (const KvLayer& layer : shape.layers)
    widest =
        std::max(widest, static_cast<size_t>(layer.heads) * static_cast<size_t>(layer.head_dim));
  return 2 * widest * kBlockTokens * sizeof(float);
}

// --- between host and backend

void TapeBackend::upload(std::span<const float> host, Tensor into) {
  const HostTensor to = values(into);
  for (int r = 0; r < to.rows; ++r)
    std::copy_n(host.data() + static_cast<size_t>(r) * static_cast<size_t>(to.columns), to.columns,
                to.row(r));
}

HostRows TapeBackend::download(Tensor x) {
  return values(x);
}

std::unique_ptr<PreparedRows> TapeBackend::prepare(const RowMetadata& rows) {
  return std::make_unique<Rows>(rows);
}

// --- the way back

void TapeBackend::go_back() {
  records_ = false;
  while (!notes_.empty()) {
    notes_.back()();
    notes_.pop_back();
    scratch_.reset();
  }
  kept_.reset();
}

HostRows TapeBackend::end(Tensor written) {
  const HostTensor adjoints = adjoint(written);
  const HostRows copy = scratch_.copy(adjoints);
  for (int r = 0; r < adjoints.rows; ++r) std::fill_n(adjoints.row(r), adjoints.columns, 0.0f);
  return copy;
}

// --- operations

void TapeBackend::gather_rows(Tensor x, std::span<const int32_t> rows, Tensor out) {
  for (size_t i = 0; i < rows.size(); ++i)
    std::ranges::copy(HostRows(values(x)).row(rows[i]), values(out).row(static_cast<int>(i)));
  note([this, x, out, from = std::vector<int32_t>(rows.begin(), rows.end())] {
    const HostRows dout = end(out);
    for (size_t i = 0; i < from.size(); ++i)
      add_to(dout.middle(static_cast<int>(i), 1),
             {adjoint(x).row(from[i]), 1, x.columns, x.stride});
  });
}

void TapeBackend::rms_norm(Tensor x, const Vector& weight, float epsilon, Tensor out) {
  normalize(false, x, weight, nullptr, epsilon, out);
}

void TapeBackend::layer_norm(Tensor x, const Vector& weight, const Vector* bias, float epsilon,
                             Tensor out) {
  normalize(true, x, weight, bias, epsilon, out);
}

void TapeBackend::normalize(bool centered, Tensor x, const Vector& weight, const Vector* bias,
                            float epsilon, Tensor out) {
  const NormShape shape{centered, epsilon};
  const HostRows before = keep(x);
  train::normalize(pool_, shape, values(x), values_of(&weight), values_of(bias), values(out));
  note([this, shape, before, x, &weight, bias, out] {
    const auto gradient = [](const Vector* vector) {
      return std::vector<float>(is_learned(vector) ? static_cast<size_t>(vector->size) : 0);
    };
    std::vector<float> dweight = gradient(&weight), dbias = gradient(bias);
    const HostRows dout = end(out);
    normalize_back(pool_, shape, before, values_of(&weight), dout, adjoint(x), dweight, dbias);
    if (!dweight.empty()) add_to_parts(&weight, dweight);
    if (!dbias.empty()) add_to_parts(bias, dbias);
  });
}

void TapeBackend::multiply_out(const TapeMatrix& matrix, HostRows x, const Vector* bias,
                               HostTensor out) {
  train::linear(pool_, x, matrix.data(), 1, out, Into::kReplace);
  if (bias != nullptr) add_bias(pool_, values_of(bias), out);
  for (const auto& part : matrix.low_rank) {
    const auto& [down, up, scale] = *part.pair;
    const HostTensor inner = scratch_.take(x.rows, down.rows);
    train::linear(pool_, x, down.values.data(), 1, inner, Into::kReplace);
    const float* rows =
        up.values.data() + static_cast<size_t>(part.from) * static_cast<size_t>(up.columns);
    train::linear(pool_, inner, rows, scale, out.slice(part.first, part.count), Into::kAdd);
  }
}

void TapeBackend::multiply_back(const TapeMatrix& matrix, HostRows x, const Vector* bias,
                                HostRows dout, HostTensor dx) {
  linear_to_inputs(pool_, dout, matrix.data(), 1, dx);
  for (const auto& part : matrix.whole)
    linear_to_weights(pool_, columns_of(dout, part.first, part.count), x, 1, part.gradient);
  if (is_learned(bias)) {
    std::vector<float> dbias(static_cast<size_t>(bias->size));
    add_rows(pool_, dout, dbias);
    add_to_parts(bias, dbias);
  }
  for (const auto& part : matrix.low_rank) {
    auto& [down, up, scale] = *part.pair;
    const HostRows d = columns_of(dout, part.first, part.count);
    const size_t from = static_cast<size_t>(part.from) * static_cast<size_t>(up.columns);
    const HostTensor inner = scratch_.take(x.rows, down.rows),
                     dinner = scratch_.zeros(x.rows, down.rows);
    train::linear(pool_, x, down.values.data(), 1, inner, Into::kReplace);
    linear_to_inputs(pool_, d, up.values.data() + from, scale, dinner);
    linear_to_weights(pool_, d, inner, scale, up.gradient.data() + from);
    linear_to_weights(pool_, dinner, x, 1, down.gradient.data());
    linear_to_inputs(pool_, dinner, down.values.data(), 1, dx);
  }
}

void TapeBackend::linear(const Matrix& weights, Tensor x, const Vector* bias, Tensor out,
                         std::span<const LowRankRows> added) {
  TESSERA_ASSERT(added.empty());
  const TapeMatrix& matrix = of_tape(weights);
  multiply_out(matrix, values(x), bias, values(out));
  scratch_.reset();
  const HostRows before = matrix.is_learned() ? keep(x) : HostRows();
  note([this, &matrix, before, x, bias, out] {
    multiply_back(matrix, before, bias, end(out), adjoint(x));
  });
}

void TapeBackend::linear_gated(const Matrix& weights, Tensor x, const Vector* bias,
                               Activation activation, Tensor out,
                               std::span<const LowRankRows> added) {
  TESSERA_ASSERT(added.empty());
  require_slope(activation);
  const TapeMatrix& matrix = of_tape(weights);
  const int width = matrix.rows / 2;
  const HostTensor both = (records_ ? kept_ : scratch_).take(x.rows, matrix.rows);
  multiply_out(matrix, values(x), bias, both);
  apply_gate(pool_, activation, both.slice(0, width), both.slice(width, width), values(out));
  scratch_.reset();
  const HostRows before = matrix.is_learned() ? keep(x) : HostRows();
  note([this, &matrix, before, x, bias, activation, both, out, width] {
    const HostRows dout = end(out);
    const HostTensor dboth = scratch_.zeros(both.rows, both.columns);
    apply_gate_back(pool_, activation, both.slice(0, width), both.slice(width, width), dout,
                    dboth.slice(0, width), dboth.slice(width, width));
    multiply_back(matrix, before, bias, dboth, adjoint(x));
  });
}

void TapeBackend::activate(Activation activation, Tensor x) {
  require_slope(activation);
  const HostRows before = keep(x);
  apply_activation(pool_, activation, values(x), values(x));
  note([this, activation, before, x] {
    const HostRows dx = end(x);
    apply_activation_back(pool_, activation, before, dx, adjoint(x));
  });
}

void TapeBackend::rope(const RopeTable& table, int head_dim, PreparedRows& rows, Tensor x) {
  const Rope& rope = static_cast<const TapeRope&>(table).rope;
  const std::span<const int32_t> positions = rows.host.positions;
  rotate(pool_, rope, head_dim, positions, Turn::kForward, values(x));
  note([this, &rope, head_dim, positions, x] {
    rotate(pool_, rope, head_dim, positions, Turn::kBack, adjoint(x));
  });
}

void TapeBackend::write_kv(KvStore& store, int layer, PreparedRows&, Tensor k, Tensor v) {
  auto& kv = static_cast<Kv&>(store);
  kv.layer = layer;
  const auto write = [this](Tensor from, Tensor all) {
    const Tensor to = all.top(from.rows).slice(0, from.columns);
    for (int r = 0; r < from.rows; ++r)
      std::copy_n(values(from).row(r), from.columns, values(to).row(r));
    note([this, from, to] { add_to(end(to), adjoint(from)); });
  };
  write(k, kv.keys);
  write(v, kv.values);
}

void TapeBackend::attend(const KvStore& store, const AttentionParameters& parameters, Tensor q,
                         PreparedRows& rows, Tensor out) {
  const auto& kv = static_cast<const Kv&>(store);
  if (kv.layer != parameters.layer) unsupported("layers that share keys and values");
  if (parameters.sinks != nullptr) unsupported("attention sinks");
  if (parameters.chunk > 0) unsupported("chunks that rows attend to");
  const KvLayer& layer = kv.shape.layers[static_cast<size_t>(parameters.layer)];
  const AttentionShape shape{.heads = parameters.heads,
                             .kv_heads = layer.heads,
                             .head_dim = layer.head_dim,
                             .scale = parameters.scale,
                             .soft_cap = parameters.soft_cap,
                             .window = parameters.window,
                             .slopes = {parameters.slopes.begin(), parameters.slopes.end()}};
  const int columns = layer.heads * layer.head_dim;
  const Tensor k = kv.keys.top(q.rows).slice(0, columns),
               v = kv.values.top(q.rows).slice(0, columns);
  const std::span<const TextRows> texts = static_cast<Rows&>(rows).texts();
  const HostTensor sums = (records_ ? kept_ : scratch_).take(q.rows, shape.heads);
  train::attend(pool_, shape, texts, values(q), values(k), values(v), values(out), sums);
  scratch_.reset();
  const HostRows queries = keep(q), keys = keep(k), all_values = keep(v), outs = keep(out);
  note([=, this] {
    const HostRows dout = end(out);
    attend_back(pool_, shape, texts, queries, keys, all_values, outs, sums, dout, adjoint(q),
                adjoint(k), adjoint(v));
  });
}

void TapeBackend::add(Tensor x, Tensor into) {
  add_to(values(x), values(into));
  note([x, into] { add_to(adjoint(into), adjoint(x)); });
}

void TapeBackend::gate(Activation activation, Tensor gate, Tensor x) {
  require_slope(activation);
  const HostRows gates = keep(gate), before = keep(x);
  apply_gate(pool_, activation, values(gate), values(x), values(x));
  note([this, activation, gates, before, gate, x] {
    const HostRows dx = end(x);
    apply_gate_back(pool_, activation, gates, before, dx, adjoint(gate), adjoint(x));
  });
}

void TapeBackend::scale_and_cap(float factor, float cap, Tensor x) {
  const HostTensor to = values(x);
  for_stretches(pool_, x.rows, [&](int first, int end_row, int) {
    for (int r = first; r < end_row; ++r) {
      for (float& value : std::span(to.row(r), static_cast<size_t>(to.columns))) {
        value *= factor;
        if (cap > 0) value = cap * std::tanh(value / cap);
      }
    }
  });
  const HostRows capped = cap > 0 ? keep(x) : HostRows();
  note([this, factor, cap, capped, x] {
    const HostTensor d = adjoint(x);
    for_stretches(pool_, d.rows, [&](int first, int end_row, int) {
      for (int r = first; r < end_row; ++r) {
        for (int c = 0; c < d.columns; ++c) {
          const float share = cap > 0 ? capped.row(r)[static_cast<size_t>(c)] / cap : 0;
          d.row(r)[c] *= factor * (1 - share * share);
        }
      }
    });
  });
}

// --- what there is no way back through

void TapeBackend::copy_kv(KvStore&, std::span<const int32_t>, std::span<const int32_t>) {
  unsupported("texts that share keys and values");
}
void TapeBackend::convolve(KvStore&, int, const Vector&, const Vector*, PreparedRows&, Tensor,
                           Tensor) {
  unsupported("recurrent layers");
}
void TapeBackend::recur(KvStore&, const Recurrence&, PreparedRows&, const RecurrenceInputs&,
                        Tensor) {
  unsupported("recurrent layers");
}
void TapeBackend::keep_states(KvStore&, std::span<const StatePath>) {
  unsupported("recurrent layers");
}
void TapeBackend::on_host(std::span<const Tensor>, Tensor, HostOperation) {
  unsupported("layers of this family (mixtures of experts and others)");
}

}  // namespace tessera::train
