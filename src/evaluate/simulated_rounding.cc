#include "evaluate/simulated_rounding.h"

#include <algorithm>
#include <vector>

#include "base/assert.h"
#include "base/error.h"
#include "model/reader.h"

namespace tessera {
namespace {

// The rows of a part of a matrix, rounded, as floats.
class RoundedRows final : public RowSource {
 public:
  RoundedRows(const Backend::WeightPart& part, const Rounding& rounding, int columns)
      : part_(part), rounding_(rounding), columns_(static_cast<uint64_t>(columns)) {
    if (rounding.per != Rounding::Per::kTensor) return;
    constexpr uint64_t kRows = 64;
    std::vector<float> values;
    const auto rows = static_cast<uint64_t>(part.rows);
    for (uint64_t first = 0; first < rows; first += kRows) {
      decode(first, std::min(kRows, rows - first), values);
      range_.include(values);
    }
  }

  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    std::vector<float> values;
    decode(first, count, values);
    for (uint64_t row = 0; row < count; ++row) {
      const auto one = std::span(values).subspan(row * columns_, columns_);
      if (rounding_.per == Rounding::Per::kTensor) {
        rounding_.round(one, range_);
      } else {
        rounding_.round_row(one);
      }
    }
    kF32.encode(values, out, {});
  }
  std::vector<std::span<const std::byte>> stored() const override {
    return part_.source != nullptr ? part_.source->stored() : std::vector{part_.bytes};
  }

 private:
  void decode(uint64_t first, uint64_t count, std::vector<float>& values) const {
    const uint64_t row_bytes = part_.format->row_bytes(columns_);
    std::vector<std::byte> buffer;
    const std::byte* rows = part_.bytes.data() + first * row_bytes;
    if (part_.source != nullptr) {
      buffer.resize(count * row_bytes);
      part_.source->read(part_.first_row + first, count, buffer.data());
      rows = buffer.data();
    }
    values.resize(count * columns_);
    part_.format->decode(rows, values);
    if (!part_.order.empty()) restore_order(part_.order, values);
  }

  const Backend::WeightPart& part_;
  const Rounding& rounding_;
  const uint64_t columns_;
  ValueRange range_;
};

}  // namespace

void SimulatedRounding::calibrate(Model& model, const Tokenizer& tokenizer, std::string_view text,
                                  int chunks) {
  const int rows = std::min(512, model.config().context);
  const auto length = static_cast<size_t>(rows);
  const std::vector<Token> tokens =
      tokenizer.encode(text, {.add_special = true, .parse_special = false});
  if (tokens.size() < length) {
    fail("the calibration text has {} tokens, one chunk needs {}", tokens.size(), length);
  }
  Reader reader(model, rows, KvFormat::kF16);
  observing_ = true;
  for (size_t first = 0; first + length <= tokens.size() && chunks-- > 0; first += length) {
    reader.rewind();
    reader.read(std::span(tokens).subspan(first, length));
  }
  observing_ = false;
}

std::unique_ptr<Matrix> SimulatedRounding::load_matrix(std::span<const WeightPart> parts,
                                                       int columns) {
  int rows = 0;
  for (const WeightPart& part : parts) rows += part.rows;
  if (!options_.weights || rows == options_.left_out)
    return ForwardingBackend::load_matrix(parts, columns);
  std::vector<std::unique_ptr<RoundedRows>> sources;
  std::vector<WeightPart> rounded;
  for (const WeightPart& part : parts) {
    sources.push_back(std::make_unique<RoundedRows>(part, *options_.weights, columns));
    rounded.push_back(
        {.format = &kF32, .bytes = {}, .rows = part.rows, .source = sources.back().get()});
  }
  return ForwardingBackend::load_matrix(rounded, columns);
}

Tensor SimulatedRounding::rounded(const Matrix& weights, Tensor x) {
  if (!options_.activations || weights.rows == options_.left_out) return x;
  const Rounding& rounding = *options_.activations;
  const bool per_tensor = rounding.per == Rounding::Per::kTensor;
  if (observing_) {
    const HostRows rows = download(x);
    for (int r = 0; r < rows.rows; ++r) ranges_[&weights].include(rows.row(r));
    return x;
  }
  Tensor& scratch = scratch_[x.columns];
  if (scratch.rows < x.rows) scratch = allocate(std::max(x.rows, 512), x.columns);
  const Tensor into = scratch.top(x.rows);
  TESSERA_ASSERT(!per_tensor || ranges_.contains(&weights));
  const ValueRange range = per_tensor ? ranges_.at(&weights) : ValueRange{};
  on_host({&x, 1}, into, [&](std::span<const HostRows> inputs, HostTensor out) {
    for (int r = 0; r < out.rows; ++r) {
      const std::span row(out.row(r), static_cast<size_t>(out.columns));
      std::ranges::copy(inputs[0].row(r), row.begin());
      per_tensor ? rounding.round(row, range) : rounding.round_row(row);
    }
  });
  return into;
}

void SimulatedRounding::linear(const Matrix& weights, Tensor x, const Vector* bias, Tensor out,
                               std::span<const LowRankRows> added) {
  ForwardingBackend::linear(weights, rounded(weights, x), bias, out, added);
}

void SimulatedRounding::linear_gated(const Matrix& weights, Tensor x, const Vector* bias,
                                     Activation activation, Tensor out,
                                     std::span<const LowRankRows> added) {
  ForwardingBackend::linear_gated(weights, rounded(weights, x), bias, activation, out, added);
}

}  // namespace tessera
