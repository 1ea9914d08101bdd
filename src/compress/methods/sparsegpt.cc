// SparseGPT (Frantar & Alistarh 2023): pruning that has the weights that stay make good for those
// that go, column after column, as GPTQ does for rounding (gptq.cc has the formulas). A weight goes
// by w^2 D[k], what its absence costs once all later ones have made good: within 128 columns, or in
// each group of N:M.
//
// To a format of blocks both happen at once, as in the paper: GPTQ goes over the row with its zeros
// fixed, and later columns make good what pruning and rounding did to those before them.
#include <algorithm>
#include <utility>

#include "base/matrix_product.h"
#include "compress/methods/gptq.h"

namespace tessera {
namespace {

constexpr size_t kBlock = 128;

class SparseGptRows final : public RowEncoder {
 public:
  // What is left goes to `quantized`, with its zeros, or to `rest`; one of them is nullptr.
  SparseGptRows(const UduFactors& factors, std::unique_ptr<GptqRows> quantized,
                std::unique_ptr<RowEncoder> rest, Sparsity sparsity)
      : factors_(factors),
        quantized_(std::move(quantized)),
        rest_(std::move(rest)),
        sparsity_(sparsity) {}

  void encode(std::span<const float> rows, size_t count, std::byte* out) const override {
    const size_t n = factors_.size();
    std::vector<float> errors(n * count), pruned(rows.size()), feedback(kBlock * count);
    std::vector<float> wanted(kBlock);  // what the columns of a row's block should be
    for (size_t first = 0; first < n; first += kBlock) {
      const size_t size = std::min(kBlock, n - first);
      std::ranges::fill(feedback, 0.0f);
      multiply(nullptr, transposed(factors_.u.data() + first, n), by_rows(errors.data(), count),
               size, first, count, 1, feedback.data(), count, Into::kAdd);
      for (size_t r = 0; r < count; ++r) {
        for (size_t k = 0; k < size; ++k)
          wanted[k] = rows[r * n + first + k] + feedback[k * count + r];
        const size_t at = r * n + first;
        prune(rows.subspan(at, size), first, std::span(wanted).first(size),
              std::span(pruned).subspan(at, size));
        for (size_t k = 0; k < size; ++k)
          errors[(first + k) * count + r] = rows[at + k] - pruned[at + k];
      }
    }
    if (quantized_ == nullptr) return rest_->encode(pruned, count, out);
    std::vector<uint8_t> zeros(pruned.size());
    std::ranges::transform(pruned, zeros.begin(), [](float w) { return w == 0 ? 1 : 0; });
    quantized_->encode(rows, count, zeros, out);
  }
  bool changes_values() const override { return true; }
  size_t panel() const override { return 64; }

 private:
  void prune(std::span<const float> weights, size_t first, std::span<float> wanted,
             std::span<float> pruned) const {
    const size_t n = factors_.size(), size = weights.size();
    const size_t group = sparsity_.group > 0 ? static_cast<size_t>(sparsity_.group) : size;
    std::vector<float> shift, scores;
    std::vector<bool> zero;
    for (size_t begin = 0; begin < size; begin += group) {
      const size_t end = std::min(size, begin + group);
      const float* u = factors_.u.data() + (first + begin) * n + first + begin;
      shift.clear();
      for (size_t k = begin; k < end; ++k) shift.push_back(wanted[k] - weights[k]);
      solve_unit_upper({u, n}, shift);
      scores.clear();
      for (size_t k = begin; k < end; ++k) {
        const float now = weights[k] + shift[k - begin];
        scores.push_back(now * now * factors_.d[first + k]);
      }
      sparsity_.choose(scores, zero);
      for (size_t k = begin; k < end; ++k, u += n + 1) {
        pruned[k] = zero[k - begin] ? 0.0f : wanted[k];
        add_scaled(weights[k] - pruned[k], u + 1, wanted.subspan(k + 1));
      }
    }
  }

  const UduFactors& factors_;
  std::unique_ptr<GptqRows> quantized_;
  std::unique_ptr<RowEncoder> rest_;
  Sparsity sparsity_;
};

class SparseGptInputs final : public PreparedInputs {
 public:
  SparseGptInputs(std::vector<float> importance, UduFactors factors, Sparsity sparsity)
      : importance_(std::move(importance)), gptq_(std::move(factors)), sparsity_(sparsity) {}

  std::unique_ptr<RowEncoder> encoder(const Format& format, ThreadPool& pool) override {
    require_zero(format);
    const bool is_fitted = format.quantized != nullptr && format.quantized->join != nullptr;
    return std::make_unique<SparseGptRows>(
        gptq_.factors(), is_fitted ? gptq_.rows(format, pool) : nullptr,
        is_fitted ? nullptr : round_to_nearest(format, importance_), sparsity_);
  }

 private:
  std::vector<float> importance_;
  GptqInputs gptq_;
  Sparsity sparsity_;
};

std::unique_ptr<PreparedInputs> prepare(InputMoments& inputs, const MethodOptions& options,
                                        ThreadPool& pool) {
  auto importance = inputs.importance();
  return std::make_unique<SparseGptInputs>(
      std::move(importance), inputs.factorize(options.damping, pool), options.sparsity);
}

}  // namespace

constinit const Method kSparseGpt = {.name = "sparsegpt",
                                     .needs_hessian = true,
                                     .feeds_back = true,
                                     .prunes = true,
                                     .prepare = prepare};

}  // namespace tessera
