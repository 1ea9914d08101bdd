// How a pass over a whole vocabulary stays cheap: blocks that cannot matter are skipped, of the
// others those tokens that may matter are gathered, and vectors full of them are worked on.
//
// The noise of a token is a hash of it, so there is no way around the hash of each token that could
// win; but around everything else. A token is passed over if even the largest noise would not lift
// it above the best so far. Of those hashed, a bound on the noise that takes no logarithm leaves
// one in thousands. Only these are scored, by the rule as it is written.
//
// Bounds may be loose, by kSlack and more: they decide nothing.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "decode/draw.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>

#include "base/simd/simd.h"
//
#include <algorithm>
#include <array>
#include <cmath>

#include "base/simd/math-inl.h"
#include "decode/block_maxima.h"
#include "decode/draw.h"
#include "decode/random.h"
#include "decode/random_words-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::ScalableTag<float>;
using DU = hn::RebindToUnsigned<DF>;
using VF = hn::Vec<DF>;
using VU = hn::Vec<DU>;
constexpr size_t kLanes = HWY_LANES(float);
constexpr size_t kBatch = kTogether * kLanes;

constexpr float kNothing = -std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kSlack = 1e-3f;

// With a lower temperature than this, 1 / temperature might be infinite; that of a higher one is a
// bound as good.
constexpr float kLeastTemperature = 1e-30f;

// At least candidates.scaled() of the lanes, by less than kSlack too much where that matters.
HWY_INLINE VF scaled_bound(VF logit, VF best, VF inverse_temperature) {
  return hn::IfThenZeroElse(hn::Eq(logit, best),
                            hn::Mul(hn::Sub(logit, best), inverse_temperature));
}

// --- Gathering

// The candidates whose scaled logit is at least visitor.lowest(), and perhaps some others,
// handed to visitor.take(tokens, logits) in batches of kBatch. The last is filled up with NaN.
template <class Visitor>
class Gathering {
 public:
  Gathering(const Candidates& candidates, Visitor& visitor)
      : candidates_(candidates), visitor_(visitor) {}

  void run() {
    for (size_t block = 0; block < candidates_.maxima.size(); ++block) {
      const float most = candidates_.maxima[block], lowest = visitor_.lowest() - kSlack;
      if (!(most >= candidates_.last.logit && candidates_.scaled(most) >= lowest)) continue;
      gather(block, lowest);
      while (size_ >= kBatch) {
        size_ -= kBatch;
        visitor_.take(&tokens_[size_], &logits_[size_]);
      }
    }
    if (size_ == 0) return;
    std::fill(&tokens_[size_], &tokens_[kBatch], 0);
    std::fill(&logits_[size_], &logits_[kBatch], kNaN);
    visitor_.take(tokens_.data(), logits_.data());
  }

 private:
  void gather(size_t block, float lowest_scaled) {
    const DF d;
    const VF best = hn::Set(d, candidates_.best), last = hn::Set(d, candidates_.last.logit);
    const VF inverse = hn::Set(d, 1.0f / std::max(candidates_.temperature, kLeastTemperature));
    const VF lowest = hn::Set(d, lowest_scaled);
    HWY_ALIGN std::array<float, kLogitBlock> padded;
    const float* values = whole_block(block, padded.data());
    const auto first = static_cast<uint32_t>(block * kLogitBlock);
    for (size_t i = 0; i < kLogitBlock; i += kLanes) {
      const VF logit = hn::LoadU(d, values + i);
      const auto matters =
          hn::And(hn::Ge(logit, last), hn::Ge(scaled_bound(logit, best, inverse), lowest));
      const VU token = hn::Add(hn::Iota(DU(), 0), hn::Set(DU(), first + static_cast<uint32_t>(i)));
      if (hn::AllTrue(d, matters)) {  // nothing to compress
        hn::StoreU(token, DU(), &tokens_[size_]);
        hn::StoreU(logit, d, &logits_[size_]);
        size_ += kLanes;
        continue;
      }
      hn::StoreU(hn::Compress(token, hn::RebindMask(DU(), matters)), DU(), &tokens_[size_]);
      hn::StoreU(hn::Compress(logit, matters), d, &logits_[size_]);
      size_ += hn::CountTrue(d, matters);
    }
  }

  // The logits of a block; a short last one is filled up with NaN, which is no token.
  const float* whole_block(size_t block, float* padded) const {
    const auto values = candidates_.logits.subspan(block * kLogitBlock);
    if (values.size() >= kLogitBlock) return values.data();
    std::fill_n(padded, kLogitBlock, kNaN);
    std::ranges::copy(values, padded);
    return padded;
  }

  const Candidates& candidates_;
  Visitor& visitor_;
  size_t size_ = 0;
  // With room for a block upon an unfinished batch; what is compressed is stored as a whole vector.
  std::array<uint32_t, kBatch + kLogitBlock + kLanes> tokens_;
  std::array<float, kBatch + kLogitBlock + kLanes> logits_;
};

template <class Visitor>
void visit(const Candidates& candidates, Visitor& visitor) {
  Gathering<Visitor>(candidates, visitor).run();
}

// --- Mass

// exp(-52) a million times does not reach the last bit of a sum that is at least 1.
constexpr float kNegligible = -52.0f;

class Mass {
 public:
  Mass(const Candidates& candidates, TokenLogit end) : candidates_(candidates), end_(end) {}

  float lowest() const { return std::max(end_.logit, kNegligible); }

  HWY_INLINE void take(const uint32_t* tokens, const float* logits) {
    const DF d;
    const VF best = hn::Set(d, candidates_.best), temperature = hn::Set(d, candidates_.temperature);
    HWY_ALIGN std::array<float, kBatch> masses;
    for (size_t i = 0; i < kBatch; i += kLanes) {
      const VF logit = hn::LoadU(d, logits + i);
      const VF scaled =
          hn::IfThenZeroElse(hn::Eq(logit, best), hn::Div(hn::Sub(logit, best), temperature));
      const auto token = hn::BitCast(DI(), hn::LoadU(DU(), tokens + i));
      const VF counted = only_before_end(logit, scaled, token);
      hn::Store(exp_approx(d, counted), d, &masses[i]);
    }
    const hn::ScalableTag<double> dd;
    auto sum = hn::Load(dd, sum_.data());
    for (size_t i = 0; i < kBatch; i += hn::Lanes(dd))
      sum =
          hn::Add(sum, hn::PromoteTo(dd, hn::Load(hn::Rebind<float, decltype(dd)>(), &masses[i])));
    hn::Store(sum, dd, sum_.data());
  }

  double sum() const {
    const hn::ScalableTag<double> dd;
    return hn::GetLane(hn::SumOfLanes(dd, hn::Load(dd, sum_.data())));
  }

 private:
  using DI = hn::RebindToSigned<DF>;

  // -infinity in place of the scaled logits of tokens behind the last candidate or not before
  // `end`.
  HWY_INLINE VF only_before_end(VF logit, VF scaled, hn::Vec<DI> token) const {
    const DF d;
    const VF end = hn::Set(d, end_.logit), nothing = hn::Set(d, kNothing);
    const auto before_end = hn::Or(
        hn::Gt(scaled, end),
        hn::And(hn::Eq(scaled, end), hn::RebindMask(d, hn::Lt(token, hn::Set(DI(), end_.token)))));
    // What was gathered is at least as large as the last candidate's.
    const auto behind_last =
        hn::And(hn::Eq(logit, hn::Set(d, candidates_.last.logit)),
                hn::RebindMask(d, hn::Gt(token, hn::Set(DI(), candidates_.last.token))));
    return hn::IfThenElse(behind_last, nothing, hn::IfThenElse(before_end, scaled, nothing));
  }

  const Candidates& candidates_;
  const TokenLogit end_;
  HWY_ALIGN std::array<double, HWY_LANES(double)> sum_{};
};

double mass_before(const Candidates& candidates, TokenLogit end) {
  Mass mass(candidates, end);
  visit(candidates, mass);
  return mass.sum();
}

// --- Draw

// At least the Gumbel noise of a word, by up to 0.07 too much. With x = 1 - u, -log(-log(u)) is at
// most -log(x), as -log(1 - x) >= x; and the bits of a float, read as a number, are at most 0.09
// below its logarithm to base 2.
HWY_INLINE VF noise_bound(VU words) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  const VF half = hn::ConvertTo(d, hn::BitCast(di, hn::ShiftRight<1>(hn::Not(words))));
  const VF x = hn::MulAdd(half, hn::Set(d, 2.0f), hn::Set(d, 0.5f));  // times 2^32
  const VF bits = hn::ConvertTo(d, hn::BitCast(di, x));
  constexpr float kLog2 = 0.693147181f;
  return hn::NegMulAdd(bits, hn::Set(d, kLog2 * 0x1p-23f), hn::Set(d, kLog2 * (127 + 32)));
}

class Draw {
 public:
  Draw(const Candidates& candidates, Noise noise, TokenLogit end, float floor)
      : candidates_(candidates),
        noise_(noise),
        random_words_(noise.seed, noise.position),
        end_(end),
        floor_(std::max(floor, end.logit)),
        inverse_(1.0f / std::max(candidates.temperature, kLeastTemperature)) {}

  float lowest() const { return std::max(floor_, best_score_ - kGumbelMax); }

  // Considers those that can win.
  HWY_INLINE void take(const uint32_t* tokens, const float* logits) {
    const DF d;
    RandomVectors words;
    for (size_t i = 0; i < kTogether; ++i) words[i] = hn::LoadU(DU(), tokens + i * kLanes);
    words = random_words_(words);
    const VF best = hn::Set(d, candidates_.best), inverse = hn::Set(d, inverse_);
    const VF needed = hn::Set(d, best_score_ - kSlack);
    for (size_t i = 0; i < kTogether; ++i) {
      const VF scaled = scaled_bound(hn::LoadU(d, logits + i * kLanes), best, inverse);
      const auto may_win = hn::Ge(hn::Add(scaled, noise_bound(words[i])), needed);
      if (!hn::AllFalse(d, may_win)) consider_all(tokens + i * kLanes, may_win);
    }
  }

  // The rule itself.
  void consider(Token token) {
    const float logit = candidates_.logits[token];
    const TokenLogit scaled{candidates_.scaled(logit), token};
    if (more_likely(candidates_.last, {logit, token}) || !more_likely(scaled, end_)) return;
    const float score =
        scaled.logit + gumbel(noise_.seed, noise_.position, static_cast<uint32_t>(token));
    if (score > best_score_ || (score == best_score_ && token < winner_.token)) {
      best_score_ = score;
      winner_ = scaled;
    }
  }

  TokenLogit winner() const { return winner_; }

 private:
  HWY_NOINLINE void consider_all(const uint32_t* tokens, hn::Mask<DF> may_win) {
    std::array<uint8_t, 8> bits{};
    hn::StoreMaskBits(DF(), may_win, bits.data());
    for (size_t lane = 0; lane < kLanes; ++lane) {
      if ((bits[lane / 8] >> lane % 8 & 1) != 0) consider(static_cast<Token>(tokens[lane]));
    }
  }

  const Candidates& candidates_;
  const Noise noise_;
  const RandomWords random_words_;
  const TokenLogit end_;
  const float floor_, inverse_;
  float best_score_ = kNothing;
  TokenLogit winner_{0.0f, 0};
};

TokenLogit draw(const Candidates& candidates, Noise noise, TokenLogit end, float floor) {
  Draw draw(candidates, noise, end, floor);
  if (candidates.best > kNothing)
    draw.consider(argmax(candidates.logits, candidates.maxima));  // a good start
  visit(candidates, draw);
  return draw.winner();
}

}  // namespace tessera::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera {

HWY_EXPORT(mass_before);
HWY_EXPORT(draw);

double mass_before(const Candidates& candidates, TokenLogit end) {
  return HWY_DYNAMIC_DISPATCH(mass_before)(candidates, end);
}

TokenLogit draw(const Candidates& candidates, Noise noise, TokenLogit end, float floor) {
  return HWY_DYNAMIC_DISPATCH(draw)(candidates, noise, end, floor);
}

}  // namespace tessera
#endif
