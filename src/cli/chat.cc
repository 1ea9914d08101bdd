// tessera chat: a conversation on the terminal.
#include <histedit.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cwchar>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>

#include "base/atomic_file.h"
#include "base/error.h"
#include "cli/commands.h"

namespace tessera::cli {
namespace {

struct Flags {
  ModelFlags model;
  GenerateOptions generate;
  std::string system;
};

constexpr const char* kHelp =
    "/reset       start a new conversation\n"
    "/stats       how fast the last answer was\n"
    "/save FILE   write the conversation as JSON\n"
    "/help        this list\n"
    "/exit        leave (or Ctrl-D)\n"
    "Ctrl-C stops an answer. A line that ends in \\ goes on in the next.\n";

// Lines with editing and history on a terminal (libedit), plain lines in a pipe.
class LineReader {
 public:
  LineReader() {
    if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0) return;
    std::setlocale(LC_CTYPE, "");
    edit_ = ::el_init("tessera", stdin, stdout, stderr);
    history_ = ::history_init();
    HistEvent event;
    ::history(history_, &event, H_SETSIZE, 1000);
    ::history(history_, &event, H_SETUNIQUE, 1);
    if (const char* home = std::getenv("HOME"))
      history_file_ = std::string(home) + "/.tessera_history";
    if (!history_file_.empty()) ::history(history_, &event, H_LOAD, history_file_.c_str());
    ::el_set(edit_, EL_HIST, ::history, history_);
    ::el_set(edit_, EL_EDITOR, "emacs");
    ::el_set(edit_, EL_GETCFN, read_character);
    ::el_set(
        edit_, EL_PROMPT, +[](EditLine*) { return const_cast<char*>("> "); });
    ::el_source(edit_, nullptr);
  }
  ~LineReader() {
    if (edit_ == nullptr) return;
    HistEvent event;
    if (!history_file_.empty()) ::history(history_, &event, H_SAVE, history_file_.c_str());
    ::history_end(history_);
    ::el_end(edit_);
  }
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // nullopt at the end of input. Ctrl-C drops what was typed so far.
  std::optional<std::string> read() {
    std::string text;
    for (;;) {
      reset_interrupted();
      const auto line = read_line();
      if (interrupted()) {
        fmt::print("\n");
        text.clear();
        continue;
      }
      if (!line) return text.empty() ? std::nullopt : std::optional(text);
      text += *line;
      if (text.empty() || text.back() != '\\') return text;
      text.back() = '\n';
    }
  }

 private:
  std::optional<std::string> read_line() {
    if (edit_ == nullptr) {
      std::string line;
      if (!std::getline(std::cin, line)) return std::nullopt;
      return line;
    }
    int length = 0;
    const char* line = ::el_gets(edit_, &length);
    if (line == nullptr) return std::nullopt;
    std::string text(line, length);
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    HistEvent event;
    if (!text.empty()) ::history(history_, &event, H_ENTER, text.c_str());
    return text;
  }

  // libedit's own reader begins again when a signal interrupts it; this one gives up the line.
  static int read_character(EditLine*, wchar_t* character) {
    std::mbstate_t state{};
    for (;;) {
      char byte = 0;
      const ssize_t count = ::read(STDIN_FILENO, &byte, 1);
      if (count < 0 && errno == EINTR && !interrupted()) continue;
      if (count <= 0) return static_cast<int>(count);
      const size_t used = std::mbrtowc(character, &byte, 1, &state);
      if (used <= 1) return 1;
      if (used == static_cast<size_t>(-1)) state = {};  // not a character: skip it
    }
  }

  EditLine* edit_ = nullptr;
  History* history_ = nullptr;
  std::string history_file_;
};

class Conversation {
 public:
  Conversation(LanguageModel model, Flags& flags) : model_(std::move(model)), flags_(flags) {
    reset();
  }

  void reset() {
    messages_.clear();
    if (!flags_.system.empty()) messages_.push_back({"system", flags_.system});
  }

  void answer(const std::string& text) {
    require_utf8("the message", text);
    messages_.push_back({"user", text});
    reset_interrupted();
    flags_.generate.is_cancelled = interrupted;
    try {
      last_ = model_.chat(messages_, flags_.generate, [](std::string_view piece) {
        print(piece);
        return true;
      });
    } catch (...) {
      messages_.pop_back();  // the conversation stays as it was
      throw;
    }
    print(last_->finish_reason == "cancelled" ? " [stopped]\n" : "\n");
    messages_.push_back({"assistant", last_->text});
    reset_interrupted();
  }

  void save(const std::string& path) const {
    if (path.empty()) fail("/save needs a file name");
    auto json = nlohmann::ordered_json::array();
    for (const ChatMessage& message : messages_)
      json.push_back({{"role", message.role}, {"content", message.content}});
    AtomicFile file(path);
    file.write(nlohmann::ordered_json{{"messages", json}}.dump(2) + "\n");
    file.commit();
    fmt::print("saved {} messages to {}\n", messages_.size(), path);
  }

  void print_statistics() const {
    fmt::print("{}\n", last_ ? describe_speed(*last_) : "no answer yet");
  }

 private:
  LanguageModel model_;
  Flags& flags_;
  std::vector<ChatMessage> messages_;
  std::optional<Generation> last_;
};

// False to leave.
bool handle(Conversation& conversation, const std::string& line) {
  const std::string command = line.substr(0, line.find(' '));
  const std::string argument = command.size() < line.size() ? line.substr(command.size() + 1) : "";
  if (command == "/exit" || command == "/quit") return false;
  if (command == "/reset") {
    conversation.reset();
  } else if (command == "/stats") {
    conversation.print_statistics();
  } else if (command == "/save") {
    conversation.save(argument);
  } else if (command == "/help") {
    fmt::print("{}", kHelp);
  } else if (command.starts_with('/')) {
    fail("there is no command '{}'; /help lists them", command);
  } else {
    conversation.answer(line);
  }
  return true;
}

void chat(Flags& flags) {
  require_utf8("the system prompt", flags.system);
  Conversation conversation(load_model(flags.model), flags);
  if (::isatty(STDOUT_FILENO) == 1)
    fmt::print("Chatting with {}. /help lists the commands.\n", flags.model.model);
  reset_interrupted();
  LineReader reader;
  while (const auto line = reader.read()) {
    if (line->find_first_not_of(" \t\n") == std::string::npos) continue;
    try {
      if (!handle(conversation, *line)) break;
    } catch (const Error& error) {  // a bad message must not end the conversation
      fmt::print(stderr, "error: {}\n", error.what());
    }
  }
}

}  // namespace

void add_chat(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("chat", "talk with a model");
  add_model_flags(*command, flags->model);
  command->add_option("--system", flags->system, "system prompt");
  command
      ->add_option("-n", flags->generate.max_tokens,
                   "tokens of an answer at most; -1: until it ends")
      ->check(CLI::Range(-1, 1 << 24))
      ->capture_default_str();
  add_sampling_flags(*command, flags->generate);
  command->callback([flags] { chat(*flags); });
}

}  // namespace tessera::cli
