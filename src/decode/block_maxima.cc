#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "decode/block_maxima.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>

#include "base/simd/simd.h"
//
#include <array>
#include <limits>

#include "decode/block_maxima.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Lane by lane a if that is larger; b if either is NaN. x86 has an instruction for just this, but
// Highway's Max leaves open which it is.
template <class V>
HWY_INLINE V max_or_second(V a, V b) {
  return hn::IfThenElse(hn::Gt(a, b), a, b);
}

void find_whole_block_maxima(const float* logits, std::span<float> maxima) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  const auto nothing = hn::Set(d, -std::numeric_limits<float>::infinity());
  for (float& most : maxima) {
    auto lane_maxima = nothing;
    for (size_t i = 0; i < kLogitBlock; i += lanes)
      lane_maxima = max_or_second(hn::LoadU(d, logits + i), lane_maxima);
    most = hn::GetLane(hn::MaxOfLanes(d, lane_maxima));  // none is NaN
    logits += kLogitBlock;
  }
}

}  // namespace tessera::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera {

HWY_EXPORT(find_whole_block_maxima);

void find_block_maxima(std::span<const float> logits, std::vector<float>& maxima) {
  const size_t whole = logits.size() / kLogitBlock;
  maxima.resize((logits.size() + kLogitBlock - 1) / kLogitBlock);
  HWY_DYNAMIC_DISPATCH(find_whole_block_maxima)(logits.data(), std::span(maxima).first(whole));
  if (whole < maxima.size()) maxima[whole] = largest(logits.subspan(whole * kLogitBlock));
}

float largest(std::span<const float> maxima) {
  float best = -std::numeric_limits<float>::infinity();
  for (const float value : maxima) best = value > best ? value : best;
  return best;
}

Token argmax(std::span<const float> logits, std::span<const float> maxima) {
  const float best = largest(maxima);
  if (best == -std::numeric_limits<float>::infinity()) return 0;
  const auto block = static_cast<size_t>(std::ranges::find(maxima, best) - maxima.begin());
  const auto values = logits.subspan(block * kLogitBlock);
  return static_cast<Token>(block * kLogitBlock +
                            static_cast<size_t>(std::ranges::find(values, best) - values.begin()));
}

}  // namespace tessera
#endif
