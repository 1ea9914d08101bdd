// A conversation with a model, as `tessera chat` has it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace tessera::cli {

class Conversation {
 public:
  // `system`: the first message, "" for none.
  Conversation(LanguageModel model, GenerateOptions options, std::string system);

  void reset();
  // Prints the answer as it comes. Where it fails, the conversation stays as it was.
  void answer(const std::string& text);

  // As {"messages": [{"role": ..., "content": ...}]}.
  void save(const std::filesystem::path& path) const;
  // Takes up a conversation that was saved. Error if the file is none; then nothing has changed.
  void load(const std::filesystem::path& path);

  size_t size() const { return messages_.size(); }
  std::string describe_last() const;  // how fast the last answer was, and its seed

 private:
  LanguageModel model_;
  GenerateOptions options_;
  std::string system_;
  std::vector<ChatMessage> messages_;
  std::optional<Generation> last_;
};

}  // namespace tessera::cli
