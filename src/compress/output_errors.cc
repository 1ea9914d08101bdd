#include "compress/output_errors.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/printable.h"

namespace tessera {
namespace {

// Rows of a matrix are alike: those of a few tell the error of all within some percent, and that of
// one format relative to another's, on the same rows, better than that.
constexpr uint64_t kSampledValues = 1 << 15, kFewestSampled = 16;

std::vector<float> sample_rows(const StoredTensor& tensor, uint64_t count) {
  const uint64_t rows = tensor.rows(), columns = tensor.columns();
  std::vector<float> values(count * columns);
  for (uint64_t i = 0; i < count; ++i) {
    const auto row = std::span(values).subspan(i * columns, columns);
    tensor.decode((2 * i + 1) * rows / (2 * count), 1, row);
    for (const float value : row) {
      if (!std::isfinite(value))
        fail("tensor '{}' holds {}: it cannot be quantized", printable(tensor.name), value);
    }
  }
  return values;
}

double energy_of(std::span<const float> rows, const InputMoments* inputs, ThreadPool& pool) {
  if (inputs != nullptr) return inputs->energy(rows, pool);
  double sum = 0;
  for (const float value : rows) sum += static_cast<double>(value) * static_cast<double>(value);
  return sum;
}

}  // namespace

std::vector<double> output_errors(const StoredTensor& tensor,
                                  std::span<const EncodedFormat> formats,
                                  const InputMoments* inputs, ThreadPool& pool) {
  const uint64_t columns = tensor.columns();
  const uint64_t count =
      std::min(tensor.rows(), std::max<uint64_t>(kFewestSampled, kSampledValues / columns));
  const std::vector<float> weights = sample_rows(tensor, count);
  std::vector<std::vector<float>> wrong(formats.size());
  pool.parallel_for(static_cast<int>(formats.size()), [&](int f, int) {
    const auto& [format, encoder] = formats[static_cast<size_t>(f)];
    std::vector<std::byte> bytes(count * format->row_bytes(columns));
    encoder->encode(weights, count, bytes.data());
    auto& values = wrong[static_cast<size_t>(f)];
    values.resize(weights.size());
    format->decode(bytes.data(), values);
    for (size_t i = 0; i < values.size(); ++i) values[i] = weights[i] - values[i];
  });
  const double all = energy_of(weights, inputs, pool);
  std::vector<double> errors;
  for (const auto& rows : wrong)
    errors.push_back(all > 0 ? std::max(0.0, energy_of(rows, inputs, pool)) / all : 0);
  return errors;
}

}  // namespace tessera
