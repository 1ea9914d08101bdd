// Answers one question, word by word.
//
//   hello [MODEL [QUESTION]]
#include <tessera/tessera.h>

#include <exception>
#include <iostream>

int main(int argc, char** argv) try {
  auto model = tessera::LanguageModel::load(argc > 1 ? argv[1] : "smollm2:135m");
  const char* question = argc > 2 ? argv[2] : "Why is the sky blue?";

  model.chat({{"user", question}}, {.max_tokens = 200}, [](std::string_view text) {
    std::cout << text << std::flush;
    return true;  // false would end the answer
  });
  std::cout << "\n";
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << "\n";
  return 1;
}
