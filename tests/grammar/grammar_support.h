// What the tests of grammars share.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <string_view>

#include "grammar/automaton.h"
#include "grammar/structured_output.h"
#include "text/tiny_vocabularies.h"
#include "text/tokenizer.h"

namespace tessera::testing {

// All bytes, tokens that cross the boundaries of JSON's rules, characters in halves, two tokens
// with the same text, a control token and two ends.
inline std::unique_ptr<const Tokenizer> json_tokenizer() {
  std::vector<Entry> more;
  const auto add = [&](std::string_view text) {
    std::string entry;
    for (const char c : text) entry += byte_to_alphabet(static_cast<unsigned char>(c));
    more.push_back({entry});
  };
  for (const char* text :
       {"\":",   "\": ",     "\": \"",   "\",",          "\", \"", "{\"",   "\"}",  "\"}}",
        "]}",    "},",       "}, {\"",   "[[",           "]]",     "{}",    "[]",   "true",
        "false", "null",     ", ",       "\n  ",         "\n    ", "  ",    "12",   "123",
        "0.5",   "-1",       "e+",       "1,",           "1}",     "na",    "name", "\"name\"",
        "ab",    "hello",    " world",   "\\n",          "\\u00",  "\\ud8", "\\\"", "caf\xC3",
        "\xA9 ", "\xC3\xA9", "\xE2\x82", "\xF0\x9F\x98", "2024-",  "-01",   ":00"})
    add(text);
  more.push_back({"  ", 4});  // user-defined: stands for itself
  more.push_back({"<start>", 3});
  more.push_back({"<end>", 3});
  more.push_back({"<|im_end|>", 3});
  GgufMetadata metadata = byte_level_bpe("gpt-2", {}, more);
  const auto end = static_cast<uint32_t>(256 + more.size() - 2);
  metadata.set("tokenizer.ggml.eos_token_id", {end});
  return make_tokenizer(metadata);
}

// Whether `grammar` matches all of `text`.
inline bool matches(const Grammar& grammar, std::string_view text) {
  grammar::Automaton automaton(grammar);
  auto state = automaton.start();
  for (const char c : text) state = automaton.next(state, static_cast<uint8_t>(c));
  return automaton.ends(state);
}
inline bool matches(std::string_view gbnf, std::string_view text) {
  return matches(*compile_grammar(gbnf), text);
}

// An answer of random allowed tokens. After `patience` tokens it ends as soon as it may, and
// prefers what closes something. nullopt if it did not end.
inline std::optional<std::string> random_answer(const ConstraintSource& source,
                                                const Tokenizer& tokenizer, std::mt19937& random,
                                                int patience = 40, int limit = 4000) {
  const auto constraint = source.start();
  std::string answer;
  for (int i = 0; i < limit; ++i) {
    const auto allowed = constraint->allowed();
    std::vector<Token> choices, closing;
    bool may_end = false;
    for (Token t = 0; t < static_cast<Token>(tokenizer.vocabulary_size()); ++t) {
      if (!is_allowed(allowed, t)) continue;
      if (tokenizer.is_end_of_generation(t)) {
        may_end = true;
        continue;
      }
      choices.push_back(t);
      const std::string piece = tokenizer.piece(t);
      if (piece == "\"" || piece == "}" || piece == "]" || piece == ":" ||
          piece.find_first_not_of("0123456789") == std::string::npos)
        closing.push_back(t);
    }
    if (may_end && (choices.empty() || i > patience || random() % 8 == 0)) return answer;
    if (i > patience && !closing.empty() && random() % 4 != 0) choices = closing;
    const Token token = choices.at(random() % choices.size());
    constraint->accept(token);
    answer += tokenizer.piece(token);
  }
  return std::nullopt;
}

}  // namespace tessera::testing
