#include "text/vocabulary_difference.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/printable.h"

namespace tessera {

std::string vocabulary_difference(const Tokenizer& own, const Tokenizer& other) {
  const size_t size = std::min(own.vocabulary_size(), other.vocabulary_size());
  for (size_t i = 0; i < size; ++i) {
    const auto token = static_cast<Token>(i);
    if (own.token_text(token) == other.token_text(token)) continue;
    return fmt::format("its token {} is '{}', here it is '{}'", i,
                       printable(other.token_text(token)), printable(own.token_text(token)));
  }
  if (own.vocabulary_size() == other.vocabulary_size()) return "";
  return fmt::format("{} tokens, here they are {}", other.vocabulary_size(), own.vocabulary_size());
}

}  // namespace tessera
