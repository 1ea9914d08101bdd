// Pruning without making good for it: what matters least in a row becomes zero.
//
// Wanda (Sun et al. 2023): a weight matters by |w| * sqrt(mean(x^2)), x its input. Magnitude: by
// |w| alone. What is left is rounded to nearest.
#include <cmath>
#include <utility>

#include "compress/methods/method.h"

namespace tessera {
namespace {

class PrunedRows final : public RowEncoder {
 public:
  // `scale`: of each column; empty: none.
  PrunedRows(std::unique_ptr<RowEncoder> rest, std::vector<float> scale, Sparsity sparsity)
      : rest_(std::move(rest)), scale_(std::move(scale)), sparsity_(sparsity) {}

  void encode(std::span<const float> rows, size_t count, std::byte* out) const override {
    const size_t columns = rows.size() / count;
    std::vector<float> pruned(rows.begin(), rows.end()), scores(columns);
    std::vector<bool> zero;
    for (size_t r = 0; r < count; ++r) {
      float* row = pruned.data() + r * columns;
      for (size_t c = 0; c < columns; ++c) {
        scores[c] = std::fabs(row[c]) * (scale_.empty() ? 1.0f : scale_[c]);
      }
      sparsity_.choose(scores, zero);
      for (size_t c = 0; c < columns; ++c) row[c] = zero[c] ? 0.0f : row[c];
    }
    rest_->encode(pruned, count, out);
  }

  bool changes_values() const override { return true; }

 private:
  std::unique_ptr<RowEncoder> rest_;
  std::vector<float> scale_;
  Sparsity sparsity_;
};

class PrunedInputs final : public PreparedInputs {
 public:
  PrunedInputs(std::vector<float> importance, bool by_inputs, Sparsity sparsity)
      : importance_(std::move(importance)), by_inputs_(by_inputs), sparsity_(sparsity) {}

  std::unique_ptr<RowEncoder> encoder(const Format& format, ThreadPool&) override {
    require_zero(format);
    std::vector<float> scale;
    for (size_t c = 0; by_inputs_ && c < importance_.size(); ++c)
      scale.push_back(std::sqrt(importance_[c]));
    return std::make_unique<PrunedRows>(round_to_nearest(format, importance_), std::move(scale),
                                        sparsity_);
  }

 private:
  std::vector<float> importance_;
  bool by_inputs_;
  Sparsity sparsity_;
};

std::unique_ptr<PreparedInputs> prepare_wanda(InputMoments& inputs, const MethodOptions& options,
                                              ThreadPool&) {
  return std::make_unique<PrunedInputs>(inputs.importance(), true, options.sparsity);
}

std::unique_ptr<PreparedInputs> prepare_magnitude(InputMoments& inputs,
                                                  const MethodOptions& options, ThreadPool&) {
  return std::make_unique<PrunedInputs>(inputs.importance(), false, options.sparsity);
}

std::unique_ptr<RowEncoder> without_text(const Format& format, std::span<const float> importance,
                                         const MethodOptions& options) {
  require_zero(format);
  return std::make_unique<PrunedRows>(round_to_nearest(format, importance), std::vector<float>(),
                                      options.sparsity);
}

}  // namespace

constinit const Method kWanda = {.name = "wanda", .prunes = true, .prepare = prepare_wanda};
constinit const Method kMagnitude = {.name = "magnitude",
                                     .by_magnitude = true,
                                     .prunes = true,
                                     .without_text = without_text,
                                     .prepare = prepare_magnitude};

}  // namespace tessera
