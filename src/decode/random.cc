#include "decode/random.h"

#include <cmath>

namespace tessera {

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, uint64_t key) {
  constexpr uint64_t kMultiplier0 = kPhiloxMultipliers[0], kMultiplier1 = kPhiloxMultipliers[1];
  auto key0 = static_cast<uint32_t>(key), key1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const uint64_t product0 = kMultiplier0 * counter[0], product1 = kMultiplier1 * counter[2];
    counter = {
        static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key0, static_cast<uint32_t>(product1),
        static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key1, static_cast<uint32_t>(product0)};
    key0 += kPhiloxWeyl[0];
    key1 += kPhiloxWeyl[1];
  }
  return counter;
}

float gumbel(uint64_t seed, uint64_t position, uint32_t token) {
  // 33 bits, odd: never 0 nor 1, so both logarithms are finite; the largest value is log(2^33).
  const double u = (static_cast<double>(random_word(seed, position, token)) + 0.5) * 0x1p-32;
  return static_cast<float>(-std::log(-std::log(u)));
}

}  // namespace tessera
