#include "cli/terminal.h"

#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include <algorithm>
#include <clocale>
#include <cstdlib>

#include "base/utf8.h"
#include "cli/commands.h"

namespace tessera::cli {
namespace {

bool locale_is_utf8() {
  return std::string_view(::nl_langinfo(CODESET)) == "UTF-8";
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

int terminal_width() {
  winsize size{};
  if (!is_terminal(STDOUT_FILENO) || ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

}  // namespace

void assume_utf8() {
  if (std::setlocale(LC_CTYPE, "") != nullptr && locale_is_utf8()) return;
  for (const char* name : {"C.UTF-8", "C.utf8", "en_US.UTF-8"}) {
    if (std::setlocale(LC_CTYPE, name) != nullptr && locale_is_utf8()) return;
  }
}

bool is_terminal(int descriptor) {
  return ::isatty(descriptor) == 1;
}

bool uses_colour() {
  static const bool uses = is_terminal(STDOUT_FILENO) && environment("NO_COLOR").empty() &&
                           environment("TERM") != "dumb" && !environment("TERM").empty();
  return uses;
}

std::string dim(std::string_view text) {
  return uses_colour() ? fmt::format("\x1b[2m{}\x1b[0m", text) : std::string(text);
}

std::filesystem::path state_folder() {
  if (const auto folder = environment("XDG_STATE_HOME"); !folder.empty()) {
    return std::filesystem::path(folder) / "tessera";
  }
  if (const auto home = environment("HOME"); !home.empty()) {
    return std::filesystem::path(home) / ".local" / "state" / "tessera";
  }
  return {};
}

int columns(std::string_view text) {
  int total = 0;
  while (!text.empty()) {
    const Utf8Prefix prefix = inspect_utf8(text);
    if (prefix.kind == Utf8Prefix::Kind::kComplete) {
      const int width = ::wcwidth(static_cast<wchar_t>(decode_utf8(text.substr(0, prefix.length))));
      total += std::max(width, 0);
    }
    text.remove_prefix(prefix.length);
  }
  return total;
}

WordWrapper::WordWrapper() : width_(terminal_width()) {}

void WordWrapper::write(std::string_view text) {
  if (width_ <= 0) {
    print(text);
    return;
  }
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      end_word(out);
      spaces_.clear();
      within_word_ = false;
      out += '\n';
      column_ = 0;
    } else if (c == ' ') {
      if (!word_.empty()) end_word(out);
      within_word_ = false;
      spaces_ += ' ';
    } else {
      word_ += c;
      // What has no spaces, Chinese or a long address, is not held back for more than a line.
      const bool fills_line = column_ == 0 && spaces_.empty() && columns(word_) > width_;
      if ((within_word_ || fills_line) && is_valid_utf8(word_)) {
        end_word(out);
        within_word_ = true;
      }
    }
  }
  if (!out.empty()) print(out);
}

void WordWrapper::end_word(std::string& out) {
  const int gap = columns(spaces_), size = columns(word_);
  if (column_ > 0 && !word_.empty() && !within_word_ && column_ + gap + size > width_) {
    out += '\n';
    column_ = 0;
    spaces_.clear();
  } else {
    out += spaces_;
    column_ += gap;
    spaces_.clear();
  }
  out += word_;
  column_ += size;
  // The terminal itself breaks what is longer than a line.
  if (column_ > width_) column_ = column_ % width_;
  word_.clear();
}

void WordWrapper::flush() {
  std::string out;
  end_word(out);
  if (!out.empty()) print(out);
}

}  // namespace tessera::cli
