// `tessera chat` as people meet it: on a terminal, which here is a pseudo-terminal.
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "paths.h"
#include "support/malformed_gguf.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using test::read_bytes;
using test::TempFolder;

// The program on a terminal of 40 columns, with `home` as its home and no locale but what is given.
class ChatOnTerminal {
 public:
  ChatOnTerminal(const std::string& model, const std::string& home,
                 const std::vector<std::string>& environment = {}, const char* context = "0") {
    winsize size{.ws_row = 24, .ws_col = 40, .ws_xpixel = 0, .ws_ypixel = 0};
    pid_ = ::forkpty(&terminal_, nullptr, nullptr, &size);
    if (pid_ != 0) return;
    for (const char* name : {"LANG", "LC_ALL", "LC_CTYPE", "NO_COLOR", "XDG_STATE_HOME"}) {
      ::unsetenv(name);
    }
    ::setenv("HOME", home.c_str(), 1);
    ::setenv("TERM", "xterm", 1);
    for (const std::string& variable : environment) ::putenv(const_cast<char*>(variable.c_str()));
    const std::string program = TESSERA_BINARY_DIR "/src/tessera";
    ::execl(program.c_str(), "tessera", "chat", model.c_str(), "-n", "6", "--temp", "0",
            "--ignore-eos", "--ctx", context, nullptr);
    ::_exit(127);
  }
  ~ChatOnTerminal() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(terminal_);
  }

  void type(std::string_view text) {
    ASSERT_EQ(::write(terminal_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  // Reads until `text` has been shown since the last call, for a minute at most.
  bool shows(std::string_view text) {
    for (int tries = 0; tries < 600; ++tries) {
      if (const size_t at = screen_.find(text, seen_); at != std::string::npos) {
        seen_ = at + text.size();
        return true;
      }
      pollfd input{terminal_, POLLIN, 0};
      if (::poll(&input, 1, 100) <= 0) continue;
      char buffer[4096];
      const ssize_t count = ::read(terminal_, buffer, sizeof(buffer));
      if (count <= 0) break;
      screen_.append(buffer, static_cast<size_t>(count));
    }
    return false;
  }
  // Until the next line may be typed.
  bool prompts() { return shows("\x1b[?2004h"); }
  // Leaves; the exit status.
  int leave() {
    type("/exit\r");
    for (shows("\x1b[never"); ::waitpid(pid_, &status_, WNOHANG) == 0;) ::usleep(10'000);
    pid_ = -1;
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
  }
  void resize(unsigned short columns) {
    winsize size{.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    ::ioctl(terminal_, TIOCSWINSZ, &size);
  }
  const std::string& screen() const { return screen_; }

 private:
  pid_t pid_ = -1;
  int terminal_ = -1;
  int status_ = 0;
  std::string screen_;
  size_t seen_ = 0;
};

class ChatTest : public testing::Test {
 protected:
  // What the user said, as /save writes it.
  std::vector<std::string> said(const std::string& file) {
    std::vector<std::string> texts;
    const auto json = nlohmann::json::parse(read_bytes(file));
    for (const auto& message : json["messages"]) {
      if (message["role"] == "user") texts.push_back(message["content"]);
    }
    return texts;
  }
  std::string saved() { return (folder_ / "saved.json").string(); }
  std::string home() { return folder_.path().string(); }

  TempFolder folder_;
  std::string model_ = write_tiny_model({}, folder_.path()).string();
};

TEST_F(ChatTest, EveryCharacterIsKeptWhateverTheLocale) {
  const std::string text = "na\u00EFve caf\u00E9 \u65E5\u672C \U0001F600 e\u0301 \u0416";
  for (const char* locale : {"LANG=", "LANG=xx_XX.UTF-8", "LC_ALL=C", "LC_ALL=POSIX"}) {
    ChatOnTerminal chat(model_, home(), {locale});
    ASSERT_TRUE(chat.prompts()) << locale << chat.screen();
    chat.type(text + "\r");
    ASSERT_TRUE(chat.prompts()) << chat.screen();
    std::filesystem::remove(saved());
    chat.type("/save " + saved() + "\r");
    ASSERT_TRUE(chat.shows("messages to")) << locale << chat.screen();
    EXPECT_EQ(said(saved()), std::vector<std::string>{text}) << locale;
    EXPECT_EQ(chat.leave(), 0);
  }
}

TEST_F(ChatTest, APasteIsOneMessage) {
  const std::vector<std::string> texts = {"one\ntwo\n\nthree", "\tif x:\n\t\treturn\t1",
                                          "a \\\nb\u00E9 \x1b[A c", "/exit is\nno command here"};
  ChatOnTerminal chat(model_, home());
  for (const std::string& text : texts) {
    ASSERT_TRUE(chat.prompts()) << chat.screen();
    std::string typed = text;
    std::ranges::replace(typed, '\n', '\r');
    chat.type("x\x7f\x1b[200~" + typed + "\x1b[201~\r");
  }
  ASSERT_TRUE(chat.prompts()) << chat.screen();
  chat.type("/save " + saved() + "\r");
  ASSERT_TRUE(chat.shows("messages to")) << chat.screen();
  EXPECT_EQ(said(saved()), texts);
}

TEST_F(ChatTest, CommandsSayWhatTheyDid) {
  folder_.write("saved.json", "not to be lost");
  ChatOnTerminal chat(model_, home());
  ASSERT_TRUE(chat.prompts());
  chat.type("hello\r");
  ASSERT_TRUE(chat.prompts());
  chat.type("/save " + saved() + "\r");
  ASSERT_TRUE(chat.shows("[y/N]")) << chat.screen();
  chat.type("n\r");
  ASSERT_TRUE(chat.shows("left as it is")) << chat.screen();
  EXPECT_EQ(read_bytes(saved()), "not to be lost");
  chat.type("/load " + saved() + "\r");
  ASSERT_TRUE(chat.shows("no conversation")) << chat.screen();
  chat.type("/save " + saved() + "\r");
  ASSERT_TRUE(chat.shows("[y/N]"));
  chat.type("y\r");
  ASSERT_TRUE(chat.shows("saved 2 messages")) << chat.screen();
  chat.type("/reset\r");
  ASSERT_TRUE(chat.shows("a new conversation")) << chat.screen();
  chat.type("/stats\r");
  ASSERT_TRUE(chat.shows("no answer yet")) << chat.screen();
  chat.type("/load " + saved() + "\r");
  ASSERT_TRUE(chat.shows("loaded 2 messages")) << chat.screen();
  chat.type("/sav x\r");
  ASSERT_TRUE(chat.shows("did you mean '/save'")) << chat.screen();
  EXPECT_EQ(chat.leave(), 0);
}

TEST_F(ChatTest, HistoryLiesInTheFolderForState) {
  const std::string state = (folder_ / "state").string();
  {
    ChatOnTerminal chat(model_, home(), {"XDG_STATE_HOME=" + state});
    ASSERT_TRUE(chat.prompts());
    chat.type("/stats\r");
    ASSERT_TRUE(chat.shows("no answer yet"));
    EXPECT_EQ(chat.leave(), 0);
  }
  EXPECT_NE(read_bytes(state + "/tessera/history").find("/stats"), std::string::npos);
  {
    ChatOnTerminal chat(model_, home());
    ASSERT_TRUE(chat.prompts());
    EXPECT_EQ(chat.leave(), 0);
  }
  EXPECT_TRUE(std::filesystem::exists(home() + "/.local/state/tessera/history"));
  EXPECT_FALSE(std::filesystem::exists(home() + "/.tessera_history"));
}

TEST_F(ChatTest, AnOldHistoryIsTakenOver) {
  const std::string old = home() + "/.tessera_history";
  const std::string folder = home() + "/.local/state/tessera";
  {
    ChatOnTerminal chat(model_, home());
    ASSERT_TRUE(chat.prompts());
    chat.type("/stats\r");
    ASSERT_TRUE(chat.shows("no answer yet"));
    EXPECT_EQ(chat.leave(), 0);
  }
  std::filesystem::rename(folder + "/history", old);
  {
    ChatOnTerminal chat(model_, home());
    ASSERT_TRUE(chat.prompts());
    chat.type("\x1b[A\x1b[A\r");  // the line before /exit
    ASSERT_TRUE(chat.shows("no answer yet")) << chat.screen();
    EXPECT_EQ(chat.leave(), 0);
  }
  EXPECT_NE(read_bytes(folder + "/history").find("/stats"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(old));
  // What there is stays.
  folder_.write(".tessera_history", "not this one");
  {
    ChatOnTerminal chat(model_, home());
    ASSERT_TRUE(chat.prompts());
    EXPECT_EQ(chat.leave(), 0);
  }
  EXPECT_NE(read_bytes(folder + "/history").find("/stats"), std::string::npos);
  EXPECT_EQ(read_bytes(old), "not this one");
}

TEST_F(ChatTest, AnswersToQuestionsAreNoHistory) {
  folder_.write("saved.json", "not to be lost");
  {
    ChatOnTerminal chat(model_, home());
    ASSERT_TRUE(chat.prompts());
    chat.type("/save " + saved() + "\r");
    ASSERT_TRUE(chat.shows("[y/N]"));
    chat.type("never\r");
    ASSERT_TRUE(chat.shows("left as it is"));
    EXPECT_EQ(chat.leave(), 0);
  }
  const std::string history = read_bytes(home() + "/.local/state/tessera/history");
  EXPECT_NE(history.find("/save"), std::string::npos);
  EXPECT_EQ(history.find("never"), std::string::npos);
}

TEST_F(ChatTest, AModelWithoutATemplateIsSaidToBeSo) {
  const std::string base = write_tiny_model({.chat_template = false}, folder_.path()).string();
  {
    ChatOnTerminal chat(base, home());
    ASSERT_TRUE(chat.shows("no chat template")) << chat.screen();
    ASSERT_TRUE(chat.shows("tessera run")) << chat.screen();
    ASSERT_TRUE(chat.prompts());
    chat.type("hello\r");
    ASSERT_TRUE(chat.prompts());
    const std::string& screen = chat.screen();
    EXPECT_EQ(screen.find("no chat template"), screen.rfind("no chat template"));
  }
  ChatOnTerminal chat(model_, home());
  ASSERT_TRUE(chat.prompts());
  EXPECT_EQ(chat.screen().find("no chat template"), std::string::npos);
}

TEST_F(ChatTest, AnAnswerThatTheContextCutsSaysSo) {
  ChatOnTerminal chat(model_, home(), {}, "22");
  ASSERT_TRUE(chat.prompts());
  chat.type("/stats\r");
  ASSERT_TRUE(chat.prompts());
  chat.type("hello\r");
  ASSERT_TRUE(chat.shows("cut after")) << chat.screen();
  ASSERT_TRUE(chat.prompts());
  chat.type("and a longer message than what the context holds\r");
  ASSERT_TRUE(chat.shows("the context holds 22")) << chat.screen();
  chat.type("/reset\r");
  ASSERT_TRUE(chat.shows("a new conversation")) << chat.screen();
  EXPECT_EQ(chat.leave(), 0);
}

TEST_F(ChatTest, ColourOnlyWhereItIsWanted) {
  const std::string colour = "\x1b[1;32m";
  for (const auto& [variable, expected] :
       {std::pair("TERM=xterm", true), {"NO_COLOR=1", false}, {"TERM=dumb", false}}) {
    ChatOnTerminal chat(model_, home(), {variable});
    ASSERT_TRUE(chat.shows(">"));
    EXPECT_EQ(chat.screen().find(colour) != std::string::npos, expected) << variable;
  }
}

TEST_F(ChatTest, TheLoadingLineGoesAwayAndAResizeDrawsAnew) {
  ChatOnTerminal chat(model_, home());
  ASSERT_TRUE(chat.prompts());
  if (const size_t bar = chat.screen().rfind("loading ["); bar != std::string::npos) {
    EXPECT_NE(chat.screen().find("\r\x1b[K", bar), std::string::npos);
  }
  chat.type("half a lin");
  ASSERT_TRUE(chat.shows("lin"));
  chat.resize(60);
  ASSERT_TRUE(chat.shows("half a lin")) << chat.screen();
  chat.type("e\r");
  ASSERT_TRUE(chat.prompts());
  chat.type("/save " + saved() + "\r");
  ASSERT_TRUE(chat.shows("messages to"));
  EXPECT_EQ(said(saved()), std::vector<std::string>{"half a line"});
}

}  // namespace
}  // namespace tessera
