#include "base/entropy.h"

#include <random>

namespace tessera {

uint64_t random_number() {
  thread_local std::mt19937_64 generator{[] {
    std::random_device device;
    return (uint64_t{device()} << 32) ^ device();
  }()};
  return generator();
}

}  // namespace tessera
