// Deterministic test data, the same on every machine: only exact or correctly rounded arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace tessera {

// The 64-bit linear congruential generator of Knuth's MMIX; its high bits are good enough here.
class Lcg {
 public:
  explicit Lcg(uint64_t seed) : state_(seed) {}

  uint32_t bits24() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 40);
  }

  float uniform() { return static_cast<float>(bits24()) * 0x1p-24f; }  // [0, 1)

  // The sum of twelve uniforms: mean 0, variance 1, near enough to normal.
  float gaussian() {
    int64_t sum = 0;
    for (int i = 0; i < 12; ++i) sum += bits24();
    return static_cast<float>(sum - (int64_t{6} << 24)) * 0x1p-24f;
  }

 private:
  uint64_t state_;
};

// "gaussian": like most weights. "heavy": a Gaussian of random width, so with far outliers.
inline std::vector<float> test_data(std::string_view kind, size_t count, uint64_t seed = 1) {
  Lcg random(seed);
  std::vector<float> data(count);
  for (float& x : data) {
    x = 0.02f * random.gaussian();
    if (kind == "heavy") x /= random.uniform() + 0.03f;
  }
  return data;
}

}  // namespace tessera
