// Room for what a step of training keeps until it has come back: taken piece by piece, given up all
// at once, and used again by the next step.
#pragma once

#include <algorithm>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/host_tensor.h"

namespace tessera::train {

class Arena {
 public:
  // Without gaps; whatever was there before is in it. Valid until reset().
  HostTensor take(int rows, int columns) {
    constexpr size_t kLine = 16;  // floats
    const size_t floats =
        (static_cast<size_t>(rows) * static_cast<size_t>(columns) + kLine - 1) / kLine * kLine;
    while (block_ < blocks_.size() && used_ + floats > blocks_[block_].as<float>().size()) {
      ++block_;
      used_ = 0;
    }
    if (block_ == blocks_.size())
      blocks_.emplace_back(std::max(floats, kBlockFloats) * sizeof(float));
    float* at = blocks_[block_].as<float>().data() + used_;
    used_ += floats;
    return {at, rows, columns, columns};
  }
  HostTensor copy(HostRows x) {
    const HostTensor to = take(x.rows, x.columns);
    for (int r = 0; r < x.rows; ++r) std::ranges::copy(x.row(r), to.row(r));
    return to;
  }
  HostTensor zeros(int rows, int columns) {
    const HostTensor to = take(rows, columns);
    std::fill_n(to.data, static_cast<size_t>(rows) * static_cast<size_t>(columns), 0.0f);
    return to;
  }
  void reset() { block_ = used_ = 0; }

 private:
  static constexpr size_t kBlockFloats = size_t{4} << 20;
  std::vector<AlignedBuffer> blocks_;
  size_t block_ = 0, used_ = 0;  // where the next piece begins
};

}  // namespace tessera::train
