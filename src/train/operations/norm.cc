#include "train/operations/norm.h"

#include <cmath>
#include <vector>

#include "train/row_ranges.h"

namespace tessera::train {
namespace {

struct Moments {
  double mean, inverse;  // 1 / the deviation
};

Moments moments(NormShape shape, std::span<const float> x) {
  const auto count = static_cast<double>(x.size());
  double mean = 0, squares = 0;
  if (shape.centered) {
    for (const float value : x) mean += static_cast<double>(value);
    mean /= count;
  }
  for (const float value : x) {
    const double off = static_cast<double>(value) - mean;
    squares += off * off;
  }
  return {mean, 1 / std::sqrt(squares / count + static_cast<double>(shape.epsilon))};
}

// One group, of which dweight and dbias get their part, [group] each; nullptr: none.
void normalize_group_back(NormShape shape, std::span<const float> x, std::span<const float> weight,
                          std::span<const float> dy, float* dx, double* dweight, double* dbias) {
  const auto [mean, inverse] = moments(shape, x);
  double sum = 0, products = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double n = (static_cast<double>(x[i]) - mean) * inverse, d = static_cast<double>(dy[i]);
    const double g = d * static_cast<double>(weight[i]);
    sum += g;
    products += g * n;
    if (dweight != nullptr) dweight[i] += d * n;
    if (dbias != nullptr) dbias[i] += d;
  }
  const auto count = static_cast<double>(x.size());
  const double offset = shape.centered ? sum / count : 0, share = products / count;
  for (size_t i = 0; i < x.size(); ++i) {
    const double n = (static_cast<double>(x[i]) - mean) * inverse;
    const double g = static_cast<double>(dy[i]) * static_cast<double>(weight[i]);
    dx[i] += static_cast<float>((g - offset - n * share) * inverse);
  }
}

void add_up(const std::vector<double>& parts, std::span<float> into) {
  for (size_t i = 0; i < into.size(); ++i) {
    double sum = 0;
    for (size_t at = i; at < parts.size(); at += into.size()) sum += parts[at];
    into[i] += static_cast<float>(sum);
  }
}

}  // namespace

void normalize(ThreadPool& pool, NormShape shape, HostRows x, std::span<const float> weight,
               std::span<const float> bias, HostTensor y) {
  const size_t group = weight.size();
  for_stretches(pool, x.rows, [&](int first, int end, int) {
    for (int r = first; r < end; ++r) {
      for (size_t c = 0; c < static_cast<size_t>(x.columns); c += group) {
        const std::span<const float> from = x.row(r).subspan(c, group);
        float* to = y.row(r) + c;
        const auto [mean, inverse] = moments(shape, from);
        for (size_t i = 0; i < group; ++i) {
          const double n = (static_cast<double>(from[i]) - mean) * inverse;
          const double offset = bias.empty() ? 0 : static_cast<double>(bias[i]);
          to[i] = static_cast<float>(n * static_cast<double>(weight[i]) + offset);
        }
      }
    }
  });
}

void normalize_back(ThreadPool& pool, NormShape shape, HostRows x, std::span<const float> weight,
                    HostRows dy, HostTensor dx, std::span<float> dweight, std::span<float> dbias) {
  const size_t group = weight.size(), parts = static_cast<size_t>(stretches(x.rows));
  std::vector<double> weights(dweight.empty() ? 0 : parts * group);
  std::vector<double> biases(dbias.empty() ? 0 : parts * group);
  for_stretches(pool, x.rows, [&](int first, int end, int part) {
    const size_t at = static_cast<size_t>(part) * group;
    double* own_weights = dweight.empty() ? nullptr : weights.data() + at;
    double* own_biases = dbias.empty() ? nullptr : biases.data() + at;
    for (int r = first; r < end; ++r) {
      for (size_t c = 0; c < static_cast<size_t>(x.columns); c += group) {
        normalize_group_back(shape, x.row(r).subspan(c, group), weight, dy.row(r).subspan(c, group),
                             dx.row(r) + c, own_weights, own_biases);
      }
    }
  });
  add_up(weights, dweight);
  add_up(biases, dbias);
}

}  // namespace tessera::train
