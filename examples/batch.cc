// Goes on from several texts at once. Each answer is what it would be alone, bit for bit; together
// they take far less time, as one pass over the model's weights serves all.
//
//   batch [MODEL]
#include <tessera/tessera.h>

#include <exception>
#include <iostream>
#include <string>
#include <vector>

int main(int argc, char** argv) try {
  auto model = tessera::LanguageModel::load(argc > 1 ? argv[1] : "smollm2:135m");
  const std::vector<std::string> prompts = {"The capital of France is", "Two and two are",
                                            "Once upon a time"};

  tessera::GenerateOptions options;
  options.max_tokens = 20;
  const std::vector<tessera::Generation> answers = model.generate(prompts, options);
  for (size_t i = 0; i < prompts.size(); ++i)
    std::cout << prompts[i] << "|" << answers[i].text << "\n";
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << "\n";
  return 1;
}
