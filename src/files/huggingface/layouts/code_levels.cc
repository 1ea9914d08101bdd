#include "files/huggingface/layouts/code_levels.h"

#include <cstdint>
#include <numeric>

#include "base/assert.h"

namespace tessera::huggingface {
namespace {

// A block of all codes under a scale of 1, decoded.
std::vector<float> make(GroupedCodes codes, int count) {
  const GroupedKind kind = {.codes = codes, .f32_scales = true, .group = count};
  std::vector<uint8_t> all(static_cast<size_t>(count));
  std::iota(all.begin(), all.end(), uint8_t{0});
  std::vector<std::byte> block(kind.block_bytes());
  write_grouped_block(kind, 1, 0, all, block.data());
  std::vector<float> levels(all.size());
  grouped_format(kind).decode(block.data(), levels);
  return levels;
}

}  // namespace

const std::vector<float>& levels_of(GroupedCodes codes) {
  static const std::vector<float> nf4 = make(GroupedCodes::kNF4, 16);
  static const std::vector<float> fp4 = make(GroupedCodes::kFP4, 16);
  static const std::vector<float> e2m1 = make(GroupedCodes::kE2M1, 16);
  static const std::vector<float> e4m3 = make(GroupedCodes::kE4M3, 256);
  static const std::vector<float> e5m2 = make(GroupedCodes::kE5M2, 256);
  switch (codes) {
    case GroupedCodes::kNF4:
      return nf4;
    case GroupedCodes::kFP4:
      return fp4;
    case GroupedCodes::kE2M1:
      return e2m1;
    case GroupedCodes::kE4M3:
      return e4m3;
    case GroupedCodes::kE5M2:
      return e5m2;
    case GroupedCodes::kInteger:
      break;
  }
  TESSERA_ASSERT(codes != GroupedCodes::kInteger);
  return e2m1;
}

}  // namespace tessera::huggingface
