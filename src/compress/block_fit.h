// One block of a format, chosen to be near its target by a metric that knows how errors of its
// elements add up or make good for each other: (target - x)^T S (target - x).
//
// Scales are first those that the format's own encoder finds, with the diagonal of S as importance.
// Then elements are rounded one by one, each making good what it can of the errors before it (the
// column feedback of GPTQ, Frantar et al. 2022). What follows goes down until nothing changes: the
// floats of the block by least squares under S, its integer scales by single steps, its codes one
// at a time (coordinate descent). Scales that a row or a matrix shares (formats/shared_scales.h)
// stay.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "compress/methods/method.h"
#include "formats/float_codebook.h"
#include "formats/format.h"

namespace tessera {

// S = U D U^T, U upper triangular with a diagonal of ones.
struct BlockMetric {
  const float* s;  // [elements, elements]
  const float* u;  // rows `stride` apart
  size_t stride;
  std::span<const float> importance;  // the diagonal of S
  // S times a vector of ones in so many elements, zeros in all others, for each such part:
  // [elements / kPart, elements].
  static constexpr size_t kPart = 16;
  const float* parts;
  // U is of S with its elements in this order, in which they are rounded.
  std::span<const uint32_t> order;
};

class BlockFit {
 public:
  // Error for a format whose blocks cannot be put together from codes. `grid` finds scales, and
  // zeros, from which only the codes are moved; nullptr: the format's encoder, and all is moved.
  explicit BlockFit(const Format& format, const RowEncoder* grid = nullptr);

  // Writes the block; `values` is what it decodes to. All spans have the block's elements. Shared
  // scales stand in `out` already. `zeros`: 1 for those that are to be zero whatever their target,
  // of a format that has a code for it; empty: none.
  void fit(std::span<const float> target, const BlockMetric& metric, std::byte* out,
           std::span<float> values, std::span<const uint8_t> zeros = {});
  // Goes on from a block as it is, where `gradient` = S (target - x): what S is of other blocks may
  // stand in it. `values` is what the block decodes to in the end. Of the metric S and its parts
  // alone count.
  void refine(std::span<const float> gradient, const BlockMetric& metric, std::byte* block,
              std::span<float> values, std::span<const uint8_t> zeros = {});

 private:
  // What element k of a block decodes to is scale_[k] * level + min_[k].
  void read_scales();
  float value(size_t k, int code) const;
  int nearest(size_t k, float v) const;
  void set_codes();  // values_ from parts_
  double error();    // of values_, with gradient_ = S (target - values)

  void improve();  // goes down by one round of each; keeps gradient_ up to date
  void write(const BlockParts& parts, std::byte* out, std::span<float> values) const;
  void round_with_feedback();
  void solve_floats();
  void step_scales();
  void step_codes();

  const Format& format_;
  const RowEncoder* grid_;
  const QuantizedBlock& block_;
  size_t size_;
  bool shares_scales_;
  std::optional<FloatCodebook> floats_;  // of a codebook of floats
  int zero_ = 0;                         // the code of zero
  BlockParts parts_;
  std::vector<float> scale_, min_, values_, gradient_, work_;
  // Derivatives of values_ by the block's floats, and their products with S.
  std::vector<float> by_scale_, by_min_, s_by_scale_, s_by_min_;
  std::vector<float> settled_;  // gradient_ + S values_, which stays while both change
  std::span<const float> target_;
  std::span<const uint8_t> zeros_;
  const BlockMetric* metric_ = nullptr;
};

}  // namespace tessera
