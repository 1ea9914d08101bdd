// GPTQ (Frantar et al. 2022): block after block of a row, each with the error of those before it
// made good as far as the Hessian of the inputs says it can be, for every format of blocks. Behind
// another method ("hqq+gptq", or "zeropoint+gptq", as it was first published) it leaves that one's
// scales and zeros as they are.
//
// With H = U D U^T (dense.h) and the errors e = w - x of the columns before k, what column k should
// be is w[k] + sum e[j] U[j, k], and its own error costs D[k]: the same numbers that GPTQ takes
// from a Cholesky factor of H^-1, without an inverse (LDLQ, Chee et al. 2023). Of a block b, the
// errors cost e^T S e with S = U_b D_b U_b^T, if all later columns make good what they can; see
// block_fit.h.
//
// That done, later columns are known and may be left alone: sweeps over the blocks let each go on
// under H itself, given the errors of all others (coordinate descent, QuantEase, Behdin et al.
// 2023).
#include "compress/methods/gptq.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "compress/block_fit.h"

namespace tessera {
namespace {

constexpr int kSweeps = 2;

BlockMetrics block_metrics(const UduFactors& factors, size_t size, ThreadPool& pool) {
  const size_t n = factors.size();
  BlockMetrics metrics{.s = std::vector<float>(n * size),
                       .importance = std::vector<float>(n),
                       .h = std::vector<float>(n * size)};
  pool.parallel_for(static_cast<int>(n / size), [&](int block, int) {
    const size_t first = static_cast<size_t>(block) * size;
    // S = V V^T with V = U sqrt(D); as a product of what is transposed.
    std::vector<float> scaled(size * size), u(size * size);
    for (size_t r = 0; r < size; ++r) {
      for (size_t c = r; c < size; ++c) {
        u[c * size + r] = factors.u[(first + r) * n + first + c];
        scaled[c * size + r] = u[c * size + r] * factors.d[first + c];
      }
    }
    float* s = metrics.s.data() + first * size;
    add_product(nullptr, {u.data(), size}, {scaled.data(), size}, size, size, size, 1, {s, size});
    for (size_t k = 0; k < size; ++k) metrics.importance[first + k] = s[k * size + k];
    float* h = metrics.h.data() + first * size;
    for (size_t r = 0; r < size; ++r) {
      h[r * size + r] = factors.diagonal[first + r];
      for (size_t c = 0; c < r; ++c)
        h[r * size + c] = h[c * size + r] = factors.u[(first + r) * n + first + c];
    }
  });
  return metrics;
}

std::unique_ptr<PreparedInputs> prepare(InputMoments& inputs, const MethodOptions& options,
                                        ThreadPool& pool) {
  return std::make_unique<GptqInputs>(inputs.factorize(options.damping, pool), options.grid);
}

}  // namespace

void GptqRows::encode(std::span<const float> rows, size_t count, std::span<const uint8_t> zeros,
                      std::byte* out) const {
  const size_t n = factors_.size(), size = format_.block_elements;
  const size_t row_bytes = format_.row_bytes(n);
  BlockFit fit(format_, grid_.get());
  std::vector<float> errors(n * count), feedback(size * count), target(size), values(size);
  for (size_t first = 0; first < n; first += size) {
    const float* u = factors_.u.data() + first * n + first;
    std::ranges::fill(feedback, 0.0f);
    add_product(nullptr, {factors_.u.data() + first, n}, {errors.data(), count}, first, size, count,
                1, {feedback.data(), count});
    const BlockMetric metric{.s = metrics_.s.data() + first * size,
                             .u = u,
                             .stride = n,
                             .importance = std::span(metrics_.importance).subspan(first, size)};
    for (size_t r = 0; r < count; ++r) {
      const auto weights = rows.subspan(r * n + first, size);
      for (size_t k = 0; k < size; ++k) target[k] = feedback[k * count + r];
      // From what each column is to make good alone to what all of the block do together.
      solve_unit_upper({u, n}, target);
      for (size_t k = 0; k < size; ++k) target[k] += weights[k];
      const auto fixed = zeros.empty() ? zeros : zeros.subspan(r * n + first, size);
      fit.fit(target, metric, out + r * row_bytes + first / size * format_.block_bytes, values,
              fixed);
      for (size_t k = 0; k < size; ++k) errors[(first + k) * count + r] = weights[k] - values[k];
    }
  }
  for (int sweep = 0; sweep < kSweeps; ++sweep) refine(rows, count, zeros, errors, out);
}

void GptqRows::refine(std::span<const float> rows, size_t count, std::span<const uint8_t> zeros,
                      std::span<float> errors, std::byte* out) const {
  const size_t n = factors_.size(), size = format_.block_elements;
  const size_t row_bytes = format_.row_bytes(n);
  BlockFit fit(format_, grid_.get());
  std::vector<float> gradients(size * count), gradient(size), values(size);
  for (size_t first = 0; first < n; first += size) {
    gradients_of(first, errors, count, gradients);
    for (size_t r = 0; r < count; ++r) {
      for (size_t k = 0; k < size; ++k) gradient[k] = gradients[k * count + r];
      fit.refine(gradient, metrics_.h.data() + first * size,
                 out + r * row_bytes + first / size * format_.block_bytes, values,
                 zeros.empty() ? zeros : zeros.subspan(r * n + first, size));
      const auto weights = rows.subspan(r * n + first, size);
      for (size_t k = 0; k < size; ++k) errors[(first + k) * count + r] = weights[k] - values[k];
    }
  }
}

// H lies below the diagonal of U.
void GptqRows::gradients_of(size_t first, std::span<const float> errors, size_t count,
                            std::span<float> gradients) const {
  const size_t n = factors_.size(), size = format_.block_elements, end = first + size;
  const float* h = factors_.u.data();
  const Block out{gradients.data(), count};
  std::vector<float> before(first * size);  // transposed
  for (size_t k = 0; k < size; ++k) {
    for (size_t j = 0; j < first; ++j) before[j * size + k] = h[(first + k) * n + j];
  }
  std::ranges::fill(gradients, 0.0f);
  const auto add = [&](ConstBlock part, size_t from, size_t depth) {
    add_product(nullptr, part, {errors.data() + from * count, count}, depth, size, count, 1, out);
  };
  add({before.data(), size}, 0, first);
  add({metrics_.h.data() + first * size, size}, first, size);
  if (end < n) add({h + end * n + first, n}, end, n - end);
}

std::unique_ptr<GptqRows> GptqInputs::rows(const Format& format, ThreadPool& pool) {
  if (format.quantized->join == nullptr) fail("gptq cannot encode to {}", format.name);
  const auto [found, is_new] = metrics_.try_emplace(format.block_elements);
  if (is_new) found->second = block_metrics(factors_, format.block_elements, pool);
  const bool has_grid = grid_ != nullptr && grid_->takes(format);
  return std::make_unique<GptqRows>(factors_, found->second, format,
                                    has_grid ? grid_->without_text(format, {}, {}) : nullptr);
}

std::unique_ptr<RowEncoder> GptqInputs::encoder(const Format& format, ThreadPool& pool) {
  if (format.quantized == nullptr) return round_to_nearest(format);
  return rows(format, pool);
}

constinit const Method kGptq = {.name = "gptq",
                                .needs_hessian = true,
                                .feeds_back = true,
                                .takes_grid = true,
                                .prepare = prepare};

}  // namespace tessera
