// The parts of GPTQ that other methods build on: see gptq.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "compress/methods/method.h"

namespace tessera {

// What errors cost within each block of so many columns, the blocks as they follow each other, of
// each the columns as the weights have them.
struct BlockMetrics {
  std::vector<float> s;  // later columns make good what they can: [columns / size, size, size]
  std::vector<float> importance;        // [columns]: their diagonals
  std::vector<float> h;                 // all other columns are settled: H itself, as s
  std::vector<float> s_parts, h_parts;  // BlockMetric::parts of s and h
  std::vector<float> ordered_h;         // h with columns in the order of U; empty: as h
  std::vector<uint32_t> first;          // [columns / size]: each block's first column
  std::vector<uint32_t> within;  // [columns]: in the order of U, a column's place in its block
};

class GptqRows final : public RowEncoder {
 public:
  // Of factors of H with its blocks, and the columns within each, in an order of their own, which
  // `metrics` tells. `grid`: see BlockFit.
  GptqRows(const UduFactors& factors, const BlockMetrics& metrics, const Format& format,
           std::unique_ptr<RowEncoder> grid = nullptr)
      : factors_(factors), metrics_(metrics), format_(format), grid_(std::move(grid)) {}

  void encode(std::span<const float> rows, size_t count, std::byte* out) const override {
    encode(rows, count, {}, out);
  }
  // `zeros`, [rows]: 1 for weights that become zero, which others make good; empty: none.
  void encode(std::span<const float> rows, size_t count, std::span<const uint8_t> zeros,
              std::byte* out) const;
  size_t panel() const override { return 64; }

 private:
  // A sweep over the blocks. `errors`, [columns, count], are those of `out`, before and after.
  void refine(std::span<const float> rows, size_t count, std::span<const uint8_t> zeros,
              std::span<float> errors, std::byte* out) const;
  // H e for the columns of a block, [size, count].
  void gradients_of(size_t first, std::span<const float> errors, size_t count,
                    std::span<float> gradients) const;

  const UduFactors& factors_;
  const BlockMetrics& metrics_;
  const Format& format_;
  std::unique_ptr<RowEncoder> grid_;
};

// The columns, those with the largest of `diagonal` first, as far as those of each block stay
// together, whatever the size of a block: sorted within blocks of 16, these within blocks of 32,
// and so on to 256, by their largest (GPTQModel's group-aware order, 2025).
std::vector<size_t> group_aware_order(std::span<const double> diagonal);

class GptqInputs final : public PreparedInputs {
 public:
  // `order`: column k of the factors is that column of the weights; those of each block of a format
  // follow each other. Empty: k itself.
  explicit GptqInputs(UduFactors factors, const Method* grid = nullptr,
                      std::vector<size_t> order = {})
      : factors_(std::move(factors)), grid_(grid), order_(std::move(order)) {}

  const UduFactors& factors() const { return factors_; }
  std::unique_ptr<RowEncoder> encoder(const Format& format, ThreadPool& pool) override;
  // Error for a format without blocks that codes can be chosen for.
  std::unique_ptr<GptqRows> rows(const Format& format, ThreadPool& pool);

 private:
  UduFactors factors_;
  const Method* grid_;
  std::vector<size_t> order_;
  std::map<uint32_t, BlockMetrics> metrics_;  // by the size of a block
};

}  // namespace tessera
