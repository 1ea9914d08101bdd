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
#include <functional>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/matrix_product.h"
#include "compress/block_fit.h"

namespace tessera {
namespace {

constexpr int kSweeps = 2;
constexpr size_t kPart = BlockMetric::kPart;

// Sums of so many columns of a block's matrix after the other, [size, size] and symmetric.
void add_parts(const float* matrix, size_t size, float* parts) {
  for (size_t k = 0; k < size; ++k)
    add_scaled(1, matrix + k * size, std::span(parts + k / kPart * size, size));
}

BlockMetrics block_metrics(const UduFactors& factors, std::span<const size_t> order, size_t size,
                           ThreadPool& pool) {
  const size_t n = factors.size();
  BlockMetrics metrics{.s = std::vector<float>(n * size),
                       .importance = std::vector<float>(n),
                       .h = std::vector<float>(n * size),
                       .s_parts = std::vector<float>(n * ((size + kPart - 1) / kPart)),
                       .h_parts = std::vector<float>(n * ((size + kPart - 1) / kPart)),
                       .ordered_h = std::vector<float>(order.empty() ? 0 : n * size),
                       .first = std::vector<uint32_t>(n / size),
                       .within = std::vector<uint32_t>(n)};
  pool.parallel_for(static_cast<int>(n / size), [&](int block, int) {
    const size_t first = static_cast<size_t>(block) * size;
    uint32_t* within = metrics.within.data() + first;
    const size_t begin = order.empty() ? first : order[first] / size * size;
    metrics.first[static_cast<size_t>(block)] = static_cast<uint32_t>(begin);
    for (size_t k = 0; k < size; ++k)
      within[k] = static_cast<uint32_t>(order.empty() ? k : order[first + k] - begin);
    // S = V V^T with V = U sqrt(D); as a product of what is transposed.
    std::vector<float> scaled(size * size), u(size * size);
    for (size_t r = 0; r < size; ++r) {
      for (size_t c = r; c < size; ++c) {
        u[c * size + within[r]] = factors.u[(first + r) * n + first + c];
        scaled[c * size + within[r]] = u[c * size + within[r]] * factors.d[first + c];
      }
    }
    float* s = metrics.s.data() + first * size;
    multiply(nullptr, transposed(u.data(), size), by_rows(scaled.data(), size), size, size, size, 1,
             s, size, Into::kAdd);
    for (size_t k = 0; k < size; ++k) metrics.importance[first + k] = s[k * size + k];
    for (size_t r = 0; r < size; ++r) {
      for (size_t c = 0; c <= r; ++c) {
        const float value =
            c == r ? factors.diagonal[first + r] : factors.u[(first + r) * n + first + c];
        for (const auto& [i, j] : {std::pair(r, c), std::pair(c, r)}) {
          metrics.h[(first + within[i]) * size + within[j]] = value;
          if (!order.empty()) metrics.ordered_h[(first + i) * size + j] = value;
        }
      }
    }
    const size_t parts = (size + kPart - 1) / kPart;
    add_parts(s, size, metrics.s_parts.data() + first * parts);
    add_parts(metrics.h.data() + first * size, size, metrics.h_parts.data() + first * parts);
  });
  return metrics;
}

std::unique_ptr<PreparedInputs> prepare(InputMoments& inputs, const MethodOptions& options,
                                        ThreadPool& pool) {
  std::vector<size_t> order;
  if (options.group_aware_order) {
    order = group_aware_order(inputs.squares());
    inputs.reorder(order);
  }
  return std::make_unique<GptqInputs>(inputs.factorize(options.damping, pool), options.grid,
                                      std::move(order));
}

}  // namespace

std::vector<size_t> group_aware_order(std::span<const double> diagonal) {
  const size_t n = diagonal.size();
  std::vector<size_t> order(n), sorted(n), pieces;
  std::iota(order.begin(), order.end(), size_t{0});
  size_t piece = 1;
  for (const size_t block : {size_t{16}, size_t{32}, size_t{64}, size_t{128}, size_t{256}, n}) {
    if (n % block != 0 || block <= piece) continue;
    const auto largest = [&](size_t first) {
      double most = 0;
      for (size_t k = first; k < first + piece; ++k) most = std::max(most, diagonal[order[k]]);
      return most;
    };
    for (size_t first = 0; first < n; first += block) {
      pieces.clear();
      for (size_t at = first; at < first + block; at += piece) pieces.push_back(at);
      std::ranges::stable_sort(pieces, std::greater(), largest);
      size_t to = first;
      for (const size_t from : pieces) {
        std::copy_n(order.begin() + static_cast<ptrdiff_t>(from), piece,
                    sorted.begin() + static_cast<ptrdiff_t>(to));
        to += piece;
      }
    }
    order = sorted;
    piece = block;
  }
  return order;
}

void GptqRows::encode(std::span<const float> rows, size_t count, std::span<const uint8_t> zeros,
                      std::byte* out) const {
  const size_t n = factors_.size(), size = format_.block_elements;
  const size_t row_bytes = format_.row_bytes(n);
  BlockFit fit(format_, grid_.get());
  std::vector<float> errors(n * count), feedback(size * count), wanted(size), target(size),
      values(size);
  for (size_t first = 0; first < n; first += size) {
    const float* u = factors_.u.data() + first * n + first;
    std::ranges::fill(feedback, 0.0f);
    multiply(nullptr, transposed(factors_.u.data() + first, n), by_rows(errors.data(), count), size,
             first, count, 1, feedback.data(), count, Into::kAdd);
    const auto within = std::span(metrics_.within).subspan(first, size);
    const size_t begin = metrics_.first[first / size];
    const BlockMetric metric{
        .s = metrics_.s.data() + first * size,
        .u = u,
        .stride = n,
        .importance = std::span(metrics_.importance).subspan(first, size),
        .parts = metrics_.s_parts.data() + first * ((size + kPart - 1) / kPart),
        .order = within};
    for (size_t r = 0; r < count; ++r) {
      const auto weights = rows.subspan(r * n + begin, size);
      for (size_t k = 0; k < size; ++k) wanted[k] = feedback[k * count + r];
      // From what each column is to make good alone to what all of the block do together.
      solve_unit_upper({u, n}, wanted);
      for (size_t k = 0; k < size; ++k) target[within[k]] = weights[within[k]] + wanted[k];
      const auto fixed = zeros.empty() ? zeros : zeros.subspan(r * n + begin, size);
      fit.fit(target, metric, out + r * row_bytes + begin / size * format_.block_bytes, values,
              fixed);
      for (size_t k = 0; k < size; ++k)
        errors[(first + k) * count + r] = weights[within[k]] - values[within[k]];
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
    const auto within = std::span(metrics_.within).subspan(first, size);
    const size_t begin = metrics_.first[first / size];
    const BlockMetric metric{
        .s = metrics_.h.data() + first * size,
        .u = nullptr,
        .stride = 0,
        .importance = {},
        .parts = metrics_.h_parts.data() + first * ((size + kPart - 1) / kPart),
        .order = {}};
    for (size_t r = 0; r < count; ++r) {
      for (size_t k = 0; k < size; ++k) gradient[within[k]] = gradients[k * count + r];
      fit.refine(gradient, metric, out + r * row_bytes + begin / size * format_.block_bytes, values,
                 zeros.empty() ? zeros : zeros.subspan(r * n + begin, size));
      const auto weights = rows.subspan(r * n + begin, size);
      for (size_t k = 0; k < size; ++k)
        errors[(first + k) * count + r] = weights[within[k]] - values[within[k]];
    }
  }
}

// H lies below the diagonal of U.
void GptqRows::gradients_of(size_t first, std::span<const float> errors, size_t count,
                            std::span<float> gradients) const {
  const size_t n = factors_.size(), size = format_.block_elements, end = first + size;
  const float* h = factors_.u.data();
  std::ranges::fill(gradients, 0.0f);
  const auto add = [&](Operand part, size_t from, size_t depth) {
    multiply(nullptr, part, by_rows(errors.data() + from * count, count), size, depth, count, 1,
             gradients.data(), count, Into::kAdd);
  };
  add(by_rows(h + first * n, n), 0, first);
  const auto& inner = metrics_.ordered_h.empty() ? metrics_.h : metrics_.ordered_h;
  add(transposed(inner.data() + first * size, size), first, size);
  if (end < n) add(transposed(h + end * n + first, n), end, n - end);
}

std::unique_ptr<GptqRows> GptqInputs::rows(const Format& format, ThreadPool& pool) {
  if (format.quantized->join == nullptr) fail("gptq cannot encode to {}", format.name);
  const auto [found, is_new] = metrics_.try_emplace(format.block_elements);
  if (is_new) found->second = block_metrics(factors_, order_, format.block_elements, pool);
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
                                .orders_columns = true,
                                .prepare = prepare};

}  // namespace tessera
