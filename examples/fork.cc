// Scores how a text may go on, and goes on from a fork of it. The text before is read once: forks
// share its keys and values.
//
//   fork [MODEL]
#include <tessera/tessera.h>

#include <cmath>
#include <exception>
#include <iostream>

int main(int argc, char** argv) try {
  auto model = tessera::LanguageModel::load(argc > 1 ? argv[1] : "smollm2:135m");
  const tessera::Branch story = model.branch("The cat sat on the");

  for (const char* next : {" mat", " roof", " theory"})
    std::cout << next << ": " << 100 * std::exp(story.score(next)) << " %\n";

  for (const char* next : {" mat", " theory"}) {
    tessera::Branch branch = story.fork();  // the story itself stays as it is
    branch.append(next);
    tessera::GenerateOptions options;
    options.max_tokens = 20;
    std::cout << "The cat sat on the" << next << "|" << branch.generate(options).text << "\n";
  }
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << "\n";
  return 1;
}
