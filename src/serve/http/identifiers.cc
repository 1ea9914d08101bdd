#include "serve/http/identifiers.h"

#include <random>

namespace tessera::serve {

uint64_t random_number() {
  thread_local std::mt19937_64 generator{[] {
    std::random_device device;
    return (uint64_t{device()} << 32) ^ device();
  }()};
  return generator();
}

std::string new_identifier(std::string_view prefix) {
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  std::string name(prefix);
  for (int i = 0; i < 24; ++i) name += kLetters[random_number() % kLetters.size()];
  return name;
}

}  // namespace tessera::serve
