// Random numbers that are a function of what they are for, not of when they are drawn.
#pragma once

#include <array>
#include <cstdint>

namespace tessera {

// Philox4x32-10, the counter-based generator of Salmon et al. 2011: four random words from a
// 128-bit counter and a 64-bit key, with no state.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, uint64_t key);

// Its constants.
inline constexpr int kPhiloxRounds = 10;
inline constexpr std::array<uint32_t, 2> kPhiloxMultipliers = {0xD2511F53, 0xCD9E8D57};
inline constexpr std::array<uint32_t, 2> kPhiloxWeyl = {0x9E3779B9, 0xBB67AE85};

// The word that makes the noise of one token at one position.
inline uint32_t random_word(uint64_t seed, uint64_t position, uint32_t token) {
  return philox({token, 0, static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32)},
                seed)[0];
}

// The Gumbel noise of one token at one position: -log(-log(u)), u = (random_word + 1/2) / 2^32.
// Adding it to the log-probabilities and taking the argmax samples from the distribution (Gumbel
// 1954).
float gumbel(uint64_t seed, uint64_t position, uint32_t token);

// No gumbel() is larger.
inline constexpr float kGumbelMax = 22.9f;

}  // namespace tessera
