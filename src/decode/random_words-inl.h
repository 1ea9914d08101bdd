// random_word() of vectors of tokens. Included once for each instruction set (see
// base/simd/simd.h), so no #pragma once.
#if defined(TESSERA_DECODE_RANDOM_WORDS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TESSERA_DECODE_RANDOM_WORDS_INL_H
#undef TESSERA_DECODE_RANDOM_WORDS_INL_H
#else
#define TESSERA_DECODE_RANDOM_WORDS_INL_H
#endif

#include <algorithm>
#include <array>

#include "base/simd/simd.h"
#include "decode/random.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Vectors that are hashed together: a chain of ten dependent products is mostly waiting.
constexpr size_t kTogether = 2;
using RandomTag = hn::ScalableTag<uint32_t>;
using RandomVector = hn::Vec<RandomTag>;

// Unlike std::array's, its constructor is compiled for the target, as those of NEON's vectors ask.
template <size_t kCount>
struct VectorArray {
  HWY_INLINE VectorArray() {}
  HWY_INLINE RandomVector& operator[](size_t i) { return vectors[i]; }
  HWY_INLINE const RandomVector& operator[](size_t i) const { return vectors[i]; }
  RandomVector vectors[kCount];
};
using RandomVectors = VectorArray<kTogether>;

#if HWY_TARGET == HWY_SCALAR
class RandomWords {
 public:
  explicit RandomWords(uint64_t seed, uint64_t position) : seed_(seed), position_(position) {}
  RandomVectors operator()(RandomVectors tokens) const {
    for (RandomVector& token : tokens.vectors) {
      token = hn::Set(RandomTag(), random_word(seed_, position_, hn::GetLane(token)));
    }
    return tokens;
  }

 private:
  uint64_t seed_, position_;
};
#else
// Philox of the even lanes, then of the odd ones. Of a vector, only even lanes count: there a
// product of 64 bits has its low word, where the next product wants it, and beside it the high
// word.
class RandomWords {
 public:
  explicit RandomWords(uint64_t seed, uint64_t position) {
    auto key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
    for (size_t round = 0; round < kPhiloxRounds; ++round) {
      std::ranges::fill(keys_[round][0], key0);
      std::ranges::fill(keys_[round][1], key1);
      key0 += kPhiloxWeyl[0];
      key1 += kPhiloxWeyl[1];
    }
    std::ranges::fill(position_[0], static_cast<uint32_t>(position));
    std::ranges::fill(position_[1], static_cast<uint32_t>(position >> 32));
  }

  HWY_INLINE RandomVectors operator()(const RandomVectors& tokens) const {
    Halves halves;
    for (size_t i = 0; i < kTogether; ++i) {
      halves[2 * i] = tokens[i];
      halves[2 * i + 1] = hn::Shuffle2301(tokens[i]);
    }
    halves = of_even(halves);
    RandomVectors words;
    for (size_t i = 0; i < kTogether; ++i)
      words[i] = hn::OddEven(hn::Shuffle2301(halves[2 * i + 1]), halves[2 * i]);
    return words;
  }

 private:
  // In memory: so many constants would not stay in registers.
  using Constant = std::array<uint32_t, hn::MaxLanes(RandomTag())>;
  static HWY_INLINE RandomVector load(const Constant& constant) {
    return hn::Load(RandomTag(), constant.data());
  }

  using Halves = VectorArray<2 * kTogether>;
  HWY_INLINE Halves of_even(const Halves& tokens) const {
    const RandomTag d;
    const RandomVector multiplier0 = hn::Set(d, kPhiloxMultipliers[0]);
    const RandomVector multiplier1 = hn::Set(d, kPhiloxMultipliers[1]);
    Halves counter0 = tokens, counter1, counter2, counter3;
    for (size_t i = 0; i < 2 * kTogether; ++i) {
      counter1[i] = hn::Zero(d);
      counter2[i] = load(position_[0]);
      counter3[i] = load(position_[1]);
    }
    for (size_t round = 0; round < kPhiloxRounds; ++round) {
      const RandomVector key0 = load(keys_[round][0]), key1 = load(keys_[round][1]);
      for (size_t i = 0; i < 2 * kTogether; ++i) {
        const RandomVector product0 = hn::BitCast(d, hn::MulEven(counter0[i], multiplier0));
        const RandomVector product1 = hn::BitCast(d, hn::MulEven(counter2[i], multiplier1));
        counter0[i] = hn::Xor3(hn::Shuffle2301(product1), counter1[i], key0);
        counter1[i] = product1;
        counter2[i] = hn::Xor3(hn::Shuffle2301(product0), counter3[i], key1);
        counter3[i] = product0;
      }
    }
    return counter0;
  }

  HWY_ALIGN std::array<std::array<Constant, 2>, kPhiloxRounds> keys_;
  HWY_ALIGN std::array<Constant, 2> position_;
};
#endif

}  // namespace tessera::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
