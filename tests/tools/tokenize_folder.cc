// tokenize_folder FOLDER TEXTS: for each line of TEXTS, a JSON string, one line of JSON: its ids,
// its ids where special tokens are letters, and what the first decode to. For
// script/compare-tokenizers.
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "files/huggingface/tokenizer.h"
#include "text/tokenizer.h"

int main(int count, char** arguments) {
  if (count != 3) {
    std::fputs("usage: tokenize_folder FOLDER TEXTS\n", stderr);
    return 2;
  }
  try {
    const auto tokenizer =
        tessera::Tokenizer::make(tessera::huggingface::read_tokenizer(arguments[1]));
    std::ifstream texts(arguments[2]);
    for (std::string line; std::getline(texts, line);) {
      const auto text = nlohmann::json::parse(line).get<std::string>();
      const auto ids = tokenizer->encode(text, {.add_special = false});
      const auto letters = tokenizer->encode(text, {.add_special = false, .parse_special = false});
      const nlohmann::json answer = {ids, letters, tokenizer->decode(ids)};
      std::cout << answer.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) << '\n';
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
