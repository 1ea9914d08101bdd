#include "cli/line_reader.h"

#include <fmt/format.h>
#include <histedit.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <iostream>

#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/terminal.h"

namespace tessera::cli {
namespace {

constexpr int kHistoryLines = 1000;
constexpr wchar_t kEscape = 0x1b;
// libedit inserts the character behind this one, whatever it is ("quoted insert" in its Emacs
// keys).
constexpr wchar_t kLiteral = 'V' - '@';
// Terminals send these around a paste, once they are asked to.
constexpr const char* kAskForMarks = "\x1b[?2004h";
constexpr const char* kNoMarks = "\x1b[?2004l";
constexpr std::string_view kPasteBegins = "[200~", kPasteEnds = "\x1b[201~";

constexpr int kLookAgainMs = 250;
volatile std::sig_atomic_t resized = 0;

void on_resize(int) {
  resized = 1;
}

// The bytes of a key come together; a person cannot press Escape and "[" so fast.
bool more_comes_at_once() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  return ::poll(&input, 1, 20) == 1;
}

// Before there was a folder for state, the history lay in the home.
void take_over_old_history(const std::filesystem::path& file) {
  const char* home = std::getenv("HOME");
  if (home == nullptr) return;
  const auto old = std::filesystem::path(home) / ".tessera_history";
  std::error_code error;
  if (std::filesystem::exists(file, error) || !std::filesystem::exists(old, error)) return;
  if (std::filesystem::copy_file(old, file, error)) std::filesystem::remove(old, error);
}

}  // namespace

LineReader::LineReader() {
  if (!is_terminal(STDIN_FILENO) || !is_terminal(STDOUT_FILENO)) return;
  assume_utf8();
  edit_ = ::el_init("tessera", stdin, stdout, stderr);
  if (edit_ == nullptr) return;
  open_history();
  ::el_set(edit_, EL_CLIENTDATA, this);
  ::el_set(edit_, EL_HIST, ::history, history_);
  ::el_set(edit_, EL_EDITOR, "emacs");
  ::el_set(edit_, EL_GETCFN, read_character);
  // Between these the prompt's escapes take no columns.
  ::el_set(
      edit_, EL_PROMPT_ESC,
      +[](EditLine* edit) {
        LineReader* self = nullptr;
        ::el_get(edit, EL_CLIENTDATA, &self);
        return self->prompt_.data();
      },
      '\1');
  ::el_source(edit_, nullptr);
  struct sigaction action {};
  action.sa_handler = on_resize;
  action.sa_flags = SA_RESTART;  // an answer that is being written goes on
  ::sigaction(SIGWINCH, &action, nullptr);
}

LineReader::~LineReader() {
  if (edit_ == nullptr) return;
  HistEvent event;
  if (!history_file_.empty()) ::history(history_, &event, H_SAVE, history_file_.c_str());
  ::history_end(history_);
  ::el_end(edit_);
}

void LineReader::open_history() {
  history_ = ::history_init();
  HistEvent event;
  ::history(history_, &event, H_SETSIZE, kHistoryLines);
  ::history(history_, &event, H_SETUNIQUE, 1);
  const std::filesystem::path folder = state_folder();
  std::error_code error;
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  if (folder.empty() || error) return;
  history_file_ = folder / "history";
  take_over_old_history(history_file_);
  ::history(history_, &event, H_LOAD, history_file_.c_str());
}

std::optional<std::string> LineReader::read() {
  std::string text;
  for (;;) {
    reset_interrupted();
    const auto line = read_line(text.empty() ? "> " : ". ");
    if (interrupted()) {
      fmt::print("\n");
      text.clear();
      pending_.clear();
      continue;
    }
    if (!line) return text.empty() ? std::nullopt : std::optional(text);
    remember(*line);
    text += *line;
    if (text.empty() || text.back() != '\\') return text;
    text.back() = '\n';
  }
}

void LineReader::remember(const std::string& line) {
  HistEvent event;
  if (edit_ != nullptr && !line.empty()) ::history(history_, &event, H_ENTER, line.c_str());
}

bool LineReader::confirm(const std::string& question) {
  if (edit_ == nullptr) return false;
  reset_interrupted();
  const auto answer = read_line(question.c_str());
  return answer && !interrupted() && (answer->starts_with('y') || answer->starts_with('Y'));
}

std::optional<std::string> LineReader::read_line(const char* prompt) {
  if (edit_ == nullptr) {
    std::string line;
    if (!std::getline(std::cin, line)) return std::nullopt;
    return line;
  }
  // The last escape stands before a character, else libedit leaves it out.
  const std::string_view mark(prompt, std::strlen(prompt) - 1);
  prompt_ = uses_colour() ? fmt::format("\1\x1b[1;32m\1{}\1\x1b[0m\1 ", mark) : prompt;
  fmt::print("{}", kAskForMarks);
  std::fflush(stdout);
  int length = 0;
  const char* line = ::el_gets(edit_, &length);
  fmt::print("{}", kNoMarks);
  std::fflush(stdout);
  if (line == nullptr) return std::nullopt;
  std::string text(line, static_cast<size_t>(length));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

int LineReader::read_character(EditLine* edit, wchar_t* character) {
  LineReader* self = nullptr;
  ::el_get(edit, EL_CLIENTDATA, &self);
  return self->next_character(*character);
}

int LineReader::next_character(wchar_t& character) {
  for (;;) {
    if (!pending_.empty()) {
      character = pending_.front();
      pending_.pop_front();
      return 1;
    }
    char byte = 0;
    if (const int count = next_byte(byte); count != 1) return count;
    if (byte == kEscape) {
      if (!read_escape()) return 0;
    } else if (const int count = decode(byte, character); count != 0) {
      return count;
    }
  }
}

// libedit's own reader begins again when a signal interrupts it; this one gives up the line, or
// draws it anew. A signal ends poll(), but one that comes just before poll() begins would go unseen
// until a key is pressed: so the flags are looked at again after a while.
int LineReader::next_byte(char& byte) {
  for (;;) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    const int found = ::poll(&input, 1, kLookAgainMs);
    const int error = errno;
    if (interrupted()) return -1;
    if (resized != 0) {
      resized = 0;
      ::el_resize(edit_);
      ::el_set(edit_, EL_REFRESH);
    }
    if (found == 1) return static_cast<int>(::read(STDIN_FILENO, &byte, 1));
    if (found < 0 && error != EINTR) return -1;
  }
}

int LineReader::append_byte(std::string& text) {
  char byte = 0;
  const int count = next_byte(byte);
  if (count == 1) text += byte;
  return count;
}

// The character that `first` begins; 0 if it is none, which is passed over.
int LineReader::decode(char first, wchar_t& character) {
  std::string bytes(1, first);
  while (inspect_utf8(bytes).kind == Utf8Prefix::Kind::kIncomplete) {
    if (const int count = append_byte(bytes); count != 1) return count;
  }
  if (inspect_utf8(bytes).kind != Utf8Prefix::Kind::kComplete) return 0;
  character = static_cast<wchar_t>(decode_utf8(bytes));
  return 1;
}

// After an Escape: the key or paste that it begins, as pending characters. False at the end of
// input.
bool LineReader::read_escape() {
  std::string seen;
  while (seen != kPasteBegins && kPasteBegins.starts_with(seen) && more_comes_at_once()) {
    if (append_byte(seen) != 1) return false;
  }
  if (seen == kPasteBegins) return read_paste();
  pending_.push_back(kEscape);
  pending_.insert(pending_.end(), seen.begin(), seen.end());
  return true;
}

// Up to the closing mark. A line break in it belongs to the text, as do tabs and all other keys.
bool LineReader::read_paste() {
  std::string text;
  while (!text.ends_with(kPasteEnds)) {
    if (append_byte(text) != 1) return false;
  }
  text.resize(text.size() - kPasteEnds.size());
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  const std::string valid = replace_invalid_bytes(text);
  for (size_t i = 0; i < valid.size();) {
    const size_t length = inspect_utf8(std::string_view(valid).substr(i)).length;
    auto character = static_cast<wchar_t>(decode_utf8(std::string_view(valid).substr(i, length)));
    i += length;
    if (character == '\r') {  // as terminals send a line break
      character = '\n';
      if (i < valid.size() && valid[i] == '\n') ++i;
    }
    if (character == 0) continue;
    if (character < 0x20 || character == 0x7f) pending_.push_back(kLiteral);
    pending_.push_back(character);
  }
  return true;
}

}  // namespace tessera::cli
