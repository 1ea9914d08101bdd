// From the text of a vocabulary entry back to its token.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "text/tokenizer.h"

namespace tessera::test {

class TokenFinder {
 public:
  explicit TokenFinder(const Tokenizer& tokenizer) {
    for (Token t = 0; t < static_cast<Token>(tokenizer.vocabulary_size()); ++t)
      tokens_.emplace(tokenizer.token_text(t), t);
  }
  std::optional<Token> find(std::string_view text) const {
    const auto found = tokens_.find(std::string(text));
    return found == tokens_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  std::unordered_map<std::string, Token> tokens_;
};

}  // namespace tessera::test
