// Any bytes as the source of a grammar, those after a zero byte as choices of an answer: a grammar
// or an Error, never a crash or a hang; and random allowed tokens must never lead into a dead end.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "grammar/structured_output.h"
#include "text/tiny_vocabularies.h"
#include "text/tokenizer.h"

namespace tessera::testing {

inline const Tokenizer& walk_tokenizer() {
  static const auto tokenizer = [] {
    std::vector<Entry> more = {{"ab"}, {"\":"},  {"{\""},  {"}}"},  {"]]"},      {"[["},
                               {"12"}, {"true"}, {"aaaa"}, {"\","}, {"<end>", 3}};
    GgufMetadata metadata = byte_level_bpe("gpt-2", {}, more);
    metadata.set("tokenizer.ggml.eos_token_id", {static_cast<uint32_t>(256 + more.size() - 1)});
    return make_tokenizer(metadata);
  }();
  return *tokenizer;
}

inline void walk(const ConstraintSource& source, std::span<const uint8_t> choices) {
  const Tokenizer& tokenizer = walk_tokenizer();
  const auto constraint = source.start();
  bool ended = false;
  for (const uint8_t choice : choices.first(std::min<size_t>(choices.size(), 64))) {
    const auto allowed = constraint->allowed();
    std::vector<Token> tokens;
    for (Token t = 0; t < static_cast<Token>(tokenizer.vocabulary_size()); ++t)
      if (is_allowed(allowed, t)) tokens.push_back(t);
    if (tokens.empty()) std::abort();
    const Token token = tokens[choice % tokens.size()];
    if (ended && !tokenizer.is_end_of_generation(token)) std::abort();
    ended |= tokenizer.is_end_of_generation(token);
    constraint->accept(token);
  }
}

// `compile(structured, text)` gives the ConstraintSource or throws Error.
template <typename Compile>
void walk_input(std::span<const uint8_t> input, Compile compile) {
  const auto zero = std::ranges::find(input, 0);
  const std::string_view text(reinterpret_cast<const char*>(input.data()),
                              static_cast<size_t>(zero - input.begin()));
  try {
    StructuredOutput structured(walk_tokenizer());
    walk(*compile(structured, text), input.subspan(text.size()));
  } catch (const Error&) {
  }
}

}  // namespace tessera::testing
