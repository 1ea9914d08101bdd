// GPTQ (Frantar et al. 2022): block after block of a row, each with the error of those before it
// made good as far as the Hessian of the inputs says it can be, for every format of blocks.
//
// With H = U D U^T (dense.h) and the errors e = w - x of the columns before k, what column k should
// be is w[k] + sum e[j] U[j, k], and its own error costs D[k]: the same numbers that GPTQ takes
// from a Cholesky factor of H^-1, without an inverse (LDLQ, Chee et al. 2023). Of a block b, the
// errors cost e^T S e with S = U_b D_b U_b^T, if all later columns make good what they can; see
// block_fit.h.
#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "compress/block_fit.h"
#include "compress/methods/method.h"

namespace tessera {
namespace {

// S of each block of so many columns.
struct Metrics {
  std::vector<float> s;           // [columns / size, size, size]
  std::vector<float> importance;  // [columns]: their diagonals
};

Metrics block_metrics(const UduFactors& factors, size_t size, ThreadPool& pool) {
  const size_t n = factors.size();
  Metrics metrics{.s = std::vector<float>(n * size), .importance = std::vector<float>(n)};
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
  });
  return metrics;
}

class GptqRows final : public RowEncoder {
 public:
  GptqRows(const UduFactors& factors, const Metrics& metrics, const Format& format)
      : factors_(factors), metrics_(metrics), format_(format) {}

  void encode(std::span<const float> rows, size_t count, std::byte* out) const override {
    const size_t n = factors_.size(), size = format_.block_elements;
    const size_t row_bytes = format_.row_bytes(n);
    BlockFit fit(format_);
    std::vector<float> errors(n * count), feedback(size * count), target(size), values(size);
    for (size_t first = 0; first < n; first += size) {
      const float* u = factors_.u.data() + first * n + first;
      std::ranges::fill(feedback, 0.0f);
      add_product(nullptr, {factors_.u.data() + first, n}, {errors.data(), count}, first, size,
                  count, 1, {feedback.data(), count});
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
        fit.fit(target, metric, out + r * row_bytes + first / size * format_.block_bytes, values);
        for (size_t k = 0; k < size; ++k) errors[(first + k) * count + r] = weights[k] - values[k];
      }
    }
  }
  size_t panel() const override { return 64; }

 private:
  const UduFactors& factors_;
  const Metrics& metrics_;
  const Format& format_;
};

class GptqInputs final : public PreparedInputs {
 public:
  explicit GptqInputs(UduFactors factors) : factors_(std::move(factors)) {}

  std::unique_ptr<RowEncoder> encoder(const Format& format, ThreadPool& pool) override {
    if (format.quantized == nullptr) return round_to_nearest(format);
    if (format.quantized->join == nullptr) fail("gptq cannot encode to {}", format.name);
    const auto [found, is_new] = metrics_.try_emplace(format.block_elements);
    if (is_new) found->second = block_metrics(factors_, format.block_elements, pool);
    return std::make_unique<GptqRows>(factors_, found->second, format);
  }

 private:
  UduFactors factors_;
  std::map<uint32_t, Metrics> metrics_;  // by the size of a block
};

std::unique_ptr<PreparedInputs> prepare(InputMoments& inputs, const MethodOptions& options,
                                        ThreadPool& pool) {
  return std::make_unique<GptqInputs>(inputs.factorize(options.damping, pool));
}

}  // namespace

constinit const Method kGptq = {.name = "gptq", .needs_hessian = true, .prepare = prepare};

}  // namespace tessera
