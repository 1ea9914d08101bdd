#include "compress/noisy_rows.h"

#include <algorithm>
#include <bit>

namespace tessera {
namespace {

constexpr size_t kNeighbours = 32;
constexpr float kSteps = 16;

// Uniform in [-1/2, 1/2). The mixing is splitmix64's (Steele et al. 2014).
float noise_for(float value, size_t column) {
  uint64_t x = (uint64_t{std::bit_cast<uint32_t>(value)} << 32) + column + 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return static_cast<float>((x ^ (x >> 31)) >> 40) * 0x1p-24F - 0.5F;
}

class NoisyRows final : public RowEncoder {
 public:
  explicit NoisyRows(size_t columns) : columns_(columns) {}

  void encode(std::span<const float> rows, size_t count, std::byte* out) const override {
    std::vector<float> noisy(columns_);
    for (size_t r = 0; r < count; ++r) {
      const auto row = rows.subspan(r * columns_, columns_);
      for (size_t first = 0; first < columns_; first += kNeighbours) {
        const auto block = row.subspan(first, std::min(kNeighbours, columns_ - first));
        const auto [low, high] = std::ranges::minmax(block);
        const float step = (high - low) / kSteps;
        for (size_t c = 0; c < block.size(); ++c)
          noisy[first + c] = block[c] + step * noise_for(block[c], first + c);
      }
      kF16.encode(noisy, out + r * kF16.row_bytes(columns_), {});
    }
  }
  bool changes_values() const override { return true; }

 private:
  size_t columns_;
};

}  // namespace

std::unique_ptr<RowEncoder> noisy_rows(size_t columns) {
  return std::make_unique<NoisyRows>(columns);
}

}  // namespace tessera
