// Round to nearest with a clip search, that of AWQ (Lin et al. 2023, arXiv 2306.00978): the largest
// weights of a group may be cut, so that all others lie on a finer grid.
//
// Of ten limits down to 0.55 of each group's largest magnitude, a block takes the one with which
// its products err least, by the Hessian of its own inputs. AWQ measures them on some of the text.
#include <algorithm>
#include <cmath>
#include <map>

#include "compress/methods/method.h"
#include "formats/grouped.h"

namespace tessera {
namespace {

constexpr int kSteps = 10;
constexpr float kStep = 0.05f;

class ClippedRows final : public RowEncoder {
 public:
  // `hessians`: [blocks, size, size]
  ClippedRows(const Format& format, std::span<const float> hessians,
              std::span<const float> importance)
      : format_(format), hessians_(hessians), importance_(importance) {}

  void encode(std::span<const float> rows, size_t count, std::byte* out) const override {
    const size_t columns = rows.size() / count, size = format_.block_elements;
    for (size_t first = 0; first < rows.size(); first += size, out += format_.block_bytes)
      encode_block(rows.subspan(first, size), first % columns, out);
  }

 private:
  void encode_block(std::span<const float> weights, size_t column, std::byte* out) const {
    const size_t size = weights.size(), group = static_cast<size_t>(format_.quantized->group);
    const float* hessian = hessians_.data() + column * size;
    const auto importance = importance_.subspan(column, size);
    std::vector<float> clipped(size), values(size), products(size);
    std::vector<std::byte> bytes(format_.block_bytes);
    double least = INFINITY;
    for (int step = 0; step < kSteps; ++step) {
      const float share = 1 - kStep * static_cast<float>(step);
      for (size_t g = 0; g < size; g += group) {
        const auto from = weights.subspan(g, group);
        float most = 0;
        for (const float w : from) most = std::max(most, std::fabs(w));
        for (size_t i = 0; i < group; ++i)
          clipped[g + i] = std::clamp(from[i], -share * most, share * most);
      }
      format_.encode(clipped, bytes.data(), importance);
      format_.decode(bytes.data(), values);
      for (size_t i = 0; i < size; ++i) values[i] = weights[i] - values[i];
      multiply_symmetric(hessian, values, products);
      double error = 0;
      for (size_t i = 0; i < size; ++i)
        error += static_cast<double>(values[i]) * static_cast<double>(products[i]);
      if (step > 0 && !(error < least)) continue;
      least = error;
      std::ranges::copy(bytes, out);
    }
  }

  const Format& format_;
  std::span<const float> hessians_, importance_;
};

class ClippedInputs final : public PreparedInputs {
 public:
  explicit ClippedInputs(InputMoments& inputs)
      : inputs_(inputs), importance_(inputs.importance()) {}

  std::unique_ptr<RowEncoder> encoder(const Format& format, ThreadPool&) override {
    if (format.quantized == nullptr || shares_scales(format))
      return round_to_nearest(format, importance_);
    const size_t size = format.block_elements, n = importance_.size();
    const auto [found, is_new] = hessians_.try_emplace(format.block_elements);
    if (is_new) {
      const auto hessian = inputs_.full_hessian();
      for (size_t r = 0; r < n; ++r) {
        const auto row = hessian.subspan(r * n + r / size * size, size);
        found->second.insert(found->second.end(), row.begin(), row.end());
      }
    }
    return std::make_unique<ClippedRows>(format, found->second, importance_);
  }

 private:
  InputMoments& inputs_;
  std::vector<float> importance_;
  std::map<uint32_t, std::vector<float>> hessians_;  // by the size of a block
};

std::unique_ptr<PreparedInputs> prepare(InputMoments& inputs, const MethodOptions&, ThreadPool&) {
  return std::make_unique<ClippedInputs>(inputs);
}

// Where others share a group's scale, it does not follow what the group is clipped to.
bool has_own_scales(const Format& format) {
  return !shares_scales(format);
}

}  // namespace

constinit const Method kClip = {
    .name = "clip", .needs_hessian = true, .takes = has_own_scales, .prepare = prepare};

}  // namespace tessera
