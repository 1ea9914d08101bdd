// What a model writes itself where there is no other text: to be calibrated with, to learn from.
// It holds what the model holds for likely, as often as it does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/session.h"

namespace tessera::cli {

class SelfText {
 public:
  using Progress = std::function<void(size_t done, size_t total)>;

  // `length`: tokens of a text, at most. Error for a model that writes none, or whose context holds
  // none.
  SelfText(const std::string& reference, const LoadOptions& load, int length);

  // So many texts, each begun from nothing and drawn with temperature 1 (data-free quantization:
  // LLM-QAT, Liu et al. 2023). The same for any number of threads.
  std::string texts(int count, const Progress& progress);

  bool has_chats() const { return session_.chat_formats->has_template(); }
  // Conversations of a question and an answer, as lines of {"messages": [...]}. The model writes
  // the questions, too, drawn with temperature 1 from where its chat template leaves the user to
  // write (Magpie, Xu et al. 2024, arXiv 2406.08464), and answers as its authors recommend. A
  // question ends at half of the length; an empty one is left out, or one that leaves no room for
  // an answer. Error if none is left. Likewise the same; `seed`: others, for others.
  std::string chats(int count, uint64_t seed, const Progress& progress);

 private:
  std::vector<Generation> write(const std::vector<std::string>& prompts,
                                const GenerateOptions& options, uint64_t seed,
                                const Progress& progress);

  Session session_;
  std::unique_ptr<Engine> engine_;
  int length_;
};

}  // namespace tessera::cli
