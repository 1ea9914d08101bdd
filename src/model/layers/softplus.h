// ln(1 + e^x), without overflow.
#pragma once

#include <cmath>

namespace tessera {

inline double softplus(double x) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}

}  // namespace tessera
