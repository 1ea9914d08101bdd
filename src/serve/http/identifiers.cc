#include "serve/http/identifiers.h"

#include "base/entropy.h"

namespace tessera::serve {

std::string new_identifier(std::string_view prefix) {
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  std::string name(prefix);
  for (int i = 0; i < 24; ++i) name += kLetters[random_number() % kLetters.size()];
  return name;
}

}  // namespace tessera::serve
