// AWQ, activation-aware weight quantization (Lin et al. 2023, arXiv 2306.00978): channels whose
// activations are large keep more of their weights' precision, for their weights are multiplied by
// scales before they are rounded.
//
// s = x^r / (w^(1 - r) + 1e-4), divided by sqrt(max s * min s): x the channel's mean |activation|,
// w the mean of its weights' magnitudes relative to the largest of each one's group. The exponent r
// is one of 20, that with which the products of the rounded matrices err least. Here that error is
// e H e^T by the Hessian of the inputs, so no activations have to be kept; and no scales at all are
// among the candidates, so that none are chosen that make matters worse.
#include <algorithm>
#include <cmath>

#include "base/matrix_product.h"
#include "compress/scalings/scaling.h"
#include "formats/shared_scales.h"

namespace tessera {
namespace {

constexpr int kRatios = 20;
// Rows of a matrix that the search looks at: they share the scales, so some tell for all.
constexpr uint64_t kSearchedRows = 128;

struct Sample {
  std::vector<float> values;  // [rows, columns]
  size_t rows, columns;
  const Format* format;
  double weight;  // rows of the matrix for each of the sample
};

Sample sample_of(const ScaledChannels::Matrix& matrix, ThreadPool& pool) {
  const StoredTensor& tensor = *matrix.tensor;
  const uint64_t all = tensor.rows(), rows = std::min(all, kSearchedRows);
  Sample sample{.values = std::vector<float>(rows * tensor.columns()),
                .rows = rows,
                .columns = tensor.columns(),
                .format = matrix.format,
                .weight = static_cast<double>(all) / static_cast<double>(rows)};
  pool.parallel_for(static_cast<int>(rows), [&](int index, int) {
    const auto r = static_cast<uint64_t>(index);
    const auto row = std::span(sample.values).subspan(r * sample.columns, sample.columns);
    tensor.decode(r * all / rows, 1, row);
  });
  return sample;
}

// Mean over all rows of the weights' magnitudes, relative to the largest of their groups.
std::vector<double> relative_magnitudes(std::span<const Sample> samples) {
  std::vector<double> sums(samples[0].columns);
  double rows = 0;
  for (const Sample& sample : samples) {
    const QuantizedBlock* block = sample.format->quantized;
    const size_t group = block == nullptr ? sample.columns : static_cast<size_t>(block->group);
    rows += sample.weight * static_cast<double>(sample.rows);
    for (size_t first = 0; first < sample.values.size(); first += group) {
      const auto weights = std::span(sample.values).subspan(first, group);
      float most = 0;
      for (const float w : weights) most = std::max(most, std::fabs(w));
      const double factor = sample.weight / (static_cast<double>(most) + 1e-6);
      for (size_t i = 0; i < group; ++i)
        sums[(first + i) % sample.columns] += factor * static_cast<double>(std::fabs(weights[i]));
    }
  }
  for (double& sum : sums) sum /= rows;
  return sums;
}

// What rounding costs the sample's products if its columns are multiplied by scales before.
double error_with(const Sample& sample, std::span<const float> scales,
                  std::span<const float> importance, std::span<const float> hessian,
                  ThreadPool& pool) {
  const size_t n = sample.columns, rows = sample.rows;
  std::vector<float> inner(n);  // of the scaled inputs
  for (size_t c = 0; c < n; ++c) inner[c] = importance[c] / (scales[c] * scales[c]);
  const auto encoder = round_to_nearest(*sample.format, inner);
  std::vector<float> errors(n * rows), products(n * rows);  // [columns, rows]
  pool.parallel_for(static_cast<int>(rows), [&](int index, int) {
    const auto r = static_cast<size_t>(index);
    const auto row = std::span(sample.values).subspan(r * n, n);
    std::vector<float> values(n);
    std::vector<std::byte> bytes(sample.format->row_bytes(n));
    for (size_t c = 0; c < n; ++c) values[c] = row[c] * scales[c];
    write_shared_scales(*sample.format, values, n, bytes.data());  // about those of all rows
    encoder->encode(values, 1, bytes.data());
    sample.format->decode(bytes.data(), values);
    for (size_t c = 0; c < n; ++c) errors[c * rows + r] = row[c] - values[c] / scales[c];
  });
  multiply(&pool, transposed(hessian.data(), n), by_rows(errors.data(), rows), n, n, rows, 1,
           products.data(), rows, Into::kAdd);
  double sum = 0;
  for (size_t i = 0; i < errors.size(); ++i)
    sum += static_cast<double>(errors[i]) * static_cast<double>(products[i]);
  return sample.weight * sum;
}

// Of each source: x^ratio / (w^(1 - ratio) + 1e-4), centered.
std::vector<float> scales_of(std::span<const float> x, std::span<const double> w, double ratio) {
  std::vector<double> raw(x.size());
  for (size_t i = 0; i < raw.size(); ++i) {
    const double scale =
        std::pow(static_cast<double>(x[i]), ratio) / (std::pow(w[i], 1 - ratio) + 1e-4);
    raw[i] = std::max(scale, 1e-4);
  }
  const auto [least, most] = std::ranges::minmax(raw);
  const double center = std::sqrt(least * most);
  std::vector<float> scales;
  for (const double scale : raw) scales.push_back(static_cast<float>(scale / center));
  return scales;
}

std::vector<float> choose(const ScaledChannels& channels, ThreadPool& pool) {
  const Fold& fold = channels.fold;
  std::vector<Sample> samples;
  for (const auto& matrix : channels.matrices) samples.push_back(sample_of(matrix, pool));
  const std::vector<float> x = channels.mean_magnitudes();
  const std::vector<double> by_channel = relative_magnitudes(samples);
  std::vector<double> w(x.size());
  const double sharing = static_cast<double>(by_channel.size()) / static_cast<double>(w.size());
  for (size_t c = 0; c < by_channel.size(); ++c)
    w[static_cast<size_t>(fold.source[c])] += by_channel[c] / sharing;

  const std::vector<float> importance = channels.inputs.importance();
  const std::span<const float> hessian = channels.inputs.full_hessian();
  const auto error_of = [&](const std::vector<float>& scales) {
    const std::vector<float> columns = fold.spread(scales);
    double error = 0;
    for (const Sample& sample : samples)
      error += error_with(sample, columns, importance, hessian, pool);
    return error;
  };
  std::vector<float> best;
  double least = error_of(std::vector<float>(x.size(), 1.0f));
  for (int i = 0; i < kRatios; ++i) {
    std::vector<float> scales = scales_of(x, w, static_cast<double>(i) / kRatios);
    const double error = error_of(scales);
    if (!(error < least)) continue;  // nor if it is no number
    least = error;
    best = std::move(scales);
  }
  return best;
}

}  // namespace

constinit const Scaling kAwq = {
    .name = "awq", .needs_hessian = true, .choose = choose, .method = &kClip};

}  // namespace tessera
