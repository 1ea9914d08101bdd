// tessera chat: a conversation on the terminal.
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/conversation.h"
#include "cli/line_reader.h"
#include "cli/suggestions.h"
#include "cli/terminal.h"

namespace tessera::cli {
namespace {

struct ChatFlags {
  ModelFlags model;
  GenerateOptions generate;
  std::string system;
};

constexpr const char* kHelp =
    "/reset       start a new conversation\n"
    "/stats       how fast the last answer was, and its seed\n"
    "/save FILE   write the conversation as JSON\n"
    "/load FILE   go on with one that was saved\n"
    "/help        this list\n"
    "/exit        leave (or Ctrl-D)\n"
    "Ctrl-C stops an answer. A line that ends in \\ goes on in the next; what is pasted is one "
    "message.\n";

void save(const Conversation& conversation, LineReader& reader, const std::string& path) {
  if (path.empty()) fail("/save needs a file name");
  if (std::filesystem::exists(path) &&
      !reader.confirm(fmt::format("'{}' exists. Overwrite it? [y/N] ", path))) {
    fail("'{}' exists and was left as it is", path);
  }
  conversation.save(path);
  fmt::print("saved {} messages to {}\n", conversation.size(), path);
}

void load(Conversation& conversation, const std::string& path) {
  if (path.empty()) fail("/load needs a file name");
  conversation.load(path);
  fmt::print("loaded {} messages from {}\n", conversation.size(), path);
}

// False to leave.
bool handle(Conversation& conversation, LineReader& reader, const std::string& line) {
  // What has several lines is text, whatever it begins with.
  const bool is_command = line.starts_with('/') && line.find('\n') == std::string::npos;
  if (!is_command) {
    conversation.answer(line);
    return true;
  }
  const std::string command = line.substr(0, line.find(' '));
  const std::string argument = command.size() < line.size() ? line.substr(command.size() + 1) : "";
  if (command == "/exit" || command == "/quit") return false;
  if (command == "/reset") {
    conversation.reset();
    fmt::print("a new conversation begins\n");
  } else if (command == "/stats") {
    fmt::print("{}\n", conversation.describe_last());
  } else if (command == "/save") {
    save(conversation, reader, argument);
  } else if (command == "/load") {
    load(conversation, argument);
  } else if (command == "/help") {
    fmt::print("{}", kHelp);
  } else {
    fail("there is no command '{}'{}; /help lists them", command,
         did_you_mean(command, {"/exit", "/quit", "/reset", "/stats", "/save", "/load", "/help"}));
  }
  std::fflush(stdout);
  return true;
}

void chat(const CLI::App& command, ChatFlags& flags) {
  require_utf8("the system prompt", flags.system);
  assume_utf8();
  LanguageModel model = load_model(flags.model);
  settle_sampling(command, model, flags.generate.sampling);
  if (!model.has_chat_template())
    warn_without_template(flags.model.model,
                          fmt::format("tessera run {} PROMPT", flags.model.model));
  Conversation conversation(std::move(model), flags.generate, flags.system);
  if (is_terminal(STDOUT_FILENO))
    fmt::print("{}\n",
               dim(fmt::format("Chatting with {}. /help lists the commands.", flags.model.model)));
  reset_interrupted();
  LineReader reader;
  while (const auto line = reader.read()) {
    if (line->find_first_not_of(" \t\n") == std::string::npos) continue;
    try {
      if (!handle(conversation, reader, *line)) break;
    } catch (const Error& error) {  // a bad message must not end the conversation
      fmt::print(stderr, "error: {}\n", error.what());
    }
  }
}

}  // namespace

void add_chat(CLI::App& app) {
  auto flags = std::make_shared<ChatFlags>();
  CLI::App* command = app.add_subcommand("chat", "talk with a model");
  add_model_flags(*command, flags->model);
  add_draft_flag(*command, flags->model.load);
  command->add_option("--system", flags->system, "system prompt");
  add_chat_template_flag(*command, flags->model.load.chat_template);
  add_parse_special_flag(*command, flags->generate.parse_special);
  command
      ->add_option("-n", flags->generate.max_tokens,
                   "tokens of an answer at most; -1: until it ends")
      ->check(CLI::Range(-1, 1 << 24))
      ->capture_default_str();
  add_sampling_flags(*command, flags->generate);
  command->callback([flags, command] { chat(*command, *flags); });
}

}  // namespace tessera::cli
