// What is written for people who sit at a terminal.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace tessera::cli {

// Makes the C library read and write UTF-8, also where the locale is not set or not installed:
// every terminal of today does. To be called before text is read from a terminal.
void assume_utf8();

bool is_terminal(int descriptor);

// On standard output: not in a pipe, not where NO_COLOR is set (https://no-color.org) or the
// terminal cannot.
bool uses_colour();
std::string dim(std::string_view text);

// $XDG_STATE_HOME/tessera, or ~/.local/state/tessera; empty if neither is known.
std::filesystem::path state_folder();

// Writes text that comes in pieces to standard output so that lines break between words, if that is
// a terminal. A word is held back until it is whole.
class WordWrapper {
 public:
  WordWrapper();
  explicit WordWrapper(int width) : width_(width) {}  // in columns; 0: as it comes
  ~WordWrapper() { flush(); }
  WordWrapper(const WordWrapper&) = delete;
  WordWrapper& operator=(const WordWrapper&) = delete;

  void write(std::string_view text);
  // What is held back, when nothing more comes. Called by the destructor, too.
  void flush();

 private:
  void end_word(std::string& out);

  int width_ = 0;
  int column_ = 0;             // where the next character goes
  bool within_word_ = false;   // of which a part is written already
  std::string spaces_, word_;  // held back
};

// The columns that a valid UTF-8 text takes on a terminal: an ideograph two, a combining mark none.
int columns(std::string_view text);

}  // namespace tessera::cli
