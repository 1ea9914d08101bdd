// Random numbers that are a function of what they are for, not of when they are drawn.
#pragma once

#include <array>
#include <cstdint>

namespace tessera {

// Philox4x32-10, the counter-based generator of Salmon et al. 2011: four random words from a
// 128-bit counter and a 64-bit key, with no state.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, uint64_t key);

// The Gumbel noise of one token at one position: -log(-log(u)), u uniform in (0, 1). Adding it to
// the log-probabilities and taking the argmax samples from the distribution (Gumbel 1954).
float gumbel(uint64_t seed, uint64_t position, uint32_t token);

// No gumbel() is larger.
inline constexpr float kGumbelMax = 22.9f;

}  // namespace tessera
