// Floats in 8 bits each, as optimizers can remember them (Dettmers et al. 2022, arXiv 2110.02861):
// blocks share their largest magnitude, and a code is a part of it, by a dynamic map.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tessera::train {

class DynamicBytes {
 public:
  static constexpr size_t kBlock = 256;
  enum class Signs { kBoth, kPositive };

  // So many zeros.
  DynamicBytes(size_t count, Signs signs);

  // Values from `first` on, which begins a block. Threads may write different blocks at once.
  void read(size_t first, std::span<float> values) const;
  // Whole blocks, but for the last. Where there are no signs, what is positive does not become
  // zero: it is what is divided by.
  void write(size_t first, std::span<const float> values);

  // To be kept in a file, and set.
  std::span<std::byte> codes() { return std::as_writable_bytes(std::span(codes_)); }
  std::span<std::byte> largest() { return std::as_writable_bytes(std::span(largest_)); }

 private:
  class Nearest;
  static const Nearest& nearest_of(Signs signs);

  Signs signs_;
  const std::array<float, 256>& map_;
  const Nearest& nearest_;
  std::vector<uint8_t> codes_;
  std::vector<float> largest_;  // of each block
};

}  // namespace tessera::train
