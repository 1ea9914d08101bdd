// Lines typed by people: with editing, history and pasting on a terminal (libedit), plain in a
// pipe.
#pragma once

#include <deque>
#include <filesystem>
#include <optional>
#include <string>

struct editline;
struct history;

namespace tessera::cli {

class LineReader {
 public:
  // The history lies in state_folder()/history; what an earlier version kept in ~/.tessera_history
  // is taken over.
  LineReader();
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // A message: a line, or several that end in "\" but for the last, or a whole paste. nullopt at
  // the end of input. Ctrl-C drops what was typed so far.
  std::optional<std::string> read();
  // Whether the answer to a question begins with "y". False where nobody can be asked.
  bool confirm(const std::string& question);

 private:
  std::optional<std::string> read_line(const char* prompt);
  void open_history();
  void remember(const std::string& line);

  // For libedit, one character at a time. Errors and an interrupt end the line.
  static int read_character(editline* edit, wchar_t* character);
  int next_character(wchar_t& character);
  int next_byte(char& byte);
  int append_byte(std::string& text);
  int decode(char first, wchar_t& character);
  bool read_escape();
  bool read_paste();

  editline* edit_ = nullptr;  // nullptr in a pipe
  history* history_ = nullptr;
  std::filesystem::path history_file_;
  std::string prompt_;
  std::deque<wchar_t> pending_;  // characters that are known to come next
};

}  // namespace tessera::cli
