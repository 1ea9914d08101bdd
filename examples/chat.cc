// A conversation: reads a line, answers it, remembers both.
//
//   chat [MODEL]
#include <tessera/tessera.h>

#include <exception>
#include <iostream>
#include <string>
#include <vector>

int main(int argc, char** argv) try {
  auto model = tessera::LanguageModel::load(argc > 1 ? argv[1] : "smollm2:135m");
  std::vector<tessera::ChatMessage> conversation = {{"system", "Answer in a sentence or two."}};

  for (std::string line; std::cout << "> " << std::flush && std::getline(std::cin, line);) {
    conversation.push_back({"user", line});
    // The whole conversation is the prompt; what of it the model has read before lies in its cache.
    const tessera::Generation answer =
        model.chat(conversation, {.max_tokens = 200}, [](std::string_view text) {
          std::cout << text << std::flush;
          return true;
        });
    std::cout << "\n(" << answer.tokens.size() << " tokens; " << answer.cached_tokens << " of "
              << answer.prompt_tokens << " tokens of the prompt were in the cache)\n";
    conversation.push_back({"assistant", answer.text});
  }
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << "\n";
  return 1;
}
