// Scales that are not each group's own affair: one for a row or a matrix, or made of numbers that
// all groups of a matrix share (ScaleScope). They are settled before codes are chosen: whoever
// encodes shows all rows, then has the scales written, and the encoder finds them in the blocks.
//
//   kRow     the largest magnitude of the row lands on the largest level, or just below; of
//   integers
//            of less than 8 bits beyond it, where the row's squared error is least
//   kMatrix  the mean of all magnitudes: absmean (Ma et al. 2024, BitNet b1.58)
//   kNested  absmax of each group, less the mean of all, in 8 bits, with a scale for 256 groups:
//            signed_dynamic_map()[code] * scale + offset (bitsandbytes)
//   kE4M3    E4M3(absmax / 6 * divisor) / divisor, the divisor such that the largest is 448 (NVFP4)
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "formats/grouped.h"

namespace tessera {

class SharedScales {
 public:
  // `kind`: of a scope beyond kGroup.
  SharedScales(const GroupedKind& kind, uint64_t rows, uint64_t columns);

  // Of finite values. Threads may call it at once, for different rows.
  void observe(uint64_t row, std::span<const float> values);
  // When every row was observed.
  void settle();
  // What the row's blocks hold before their codes.
  void write(uint64_t row, std::byte* blocks) const;

 private:
  float& of(uint64_t row, uint64_t group) { return numbers_[row * across_ + group]; }
  void settle_nested();
  void settle_e4m3();

  GroupedKind kind_;
  uint64_t rows_, columns_, across_;  // numbers of a row
  std::vector<float> numbers_;        // absmax (kMatrix: the mean), then scales
  std::vector<double> sums_;          // kMatrix: of each row
  std::vector<uint8_t> codes_;        // kNested, kE4M3: of each scale
  std::vector<float> nested_;         // kNested: scales of the codes
  float common_ = 0;                  // kNested: offset, kE4M3: divisor
};

// All of this for rows that are at hand, blocks of which are to be encoded to `out`; nothing where
// each group has a scale of its own.
void write_shared_scales(const Format& format, std::span<const float> rows, uint64_t columns,
                         std::byte* out);

// What a block says of its scale, for those who write it elsewhere: the code of it, and the two
// numbers (kE4M3: one) that stand behind the code.
struct ScaleNote {
  uint8_t code = 0;
  float scale = 0, common = 0;
};
ScaleNote scale_note(const GroupedKind& kind, const std::byte* block);

inline constexpr uint64_t kNestedGroups = 256;  // that share a scale of their codes
}  // namespace tessera
