#include "cli/terminal.h"

#include <gtest/gtest.h>

namespace tessera::cli {
namespace {

// The text in pieces of every size: what comes out must not depend on them.
std::string wrapped(const std::string& text, int width, size_t piece) {
  testing::internal::CaptureStdout();
  {
    WordWrapper out(width);
    for (size_t i = 0; i < text.size(); i += piece) {
      out.write(std::string_view(text).substr(i, piece));
    }
  }
  return testing::internal::GetCapturedStdout();
}

TEST(WordWrapper, BreaksLinesBetweenWords) {
  assume_utf8();
  for (const size_t piece : {1, 2, 3, 7, 100}) {
    EXPECT_EQ(wrapped("the quick brown fox", 10, piece), "the quick\nbrown fox");
    EXPECT_EQ(wrapped("one two\nthree  four", 9, piece), "one two\nthree\nfour");
    EXPECT_EQ(wrapped("  indented\n\n- list", 20, piece), "  indented\n\n- list");
    EXPECT_EQ(wrapped("\u65E5\u672C \u8A9E\u6587 x", 6, piece), "\u65E5\u672C\n\u8A9E\u6587 x");
    EXPECT_EQ(wrapped("na\u00EFve caf\u00E9s", 10, piece), "na\u00EFve\ncaf\u00E9s");
    EXPECT_EQ(wrapped("a trailing space ", 80, piece), "a trailing space ");
    EXPECT_EQ(wrapped("unwrapped where there is no terminal", 0, piece),
              "unwrapped where there is no terminal");
  }
}

TEST(WordWrapper, LongWordsAreWrittenWhole) {
  EXPECT_EQ(wrapped("see http://example.com/a/long/path now", 12, 5),
            "see\nhttp://example.com/a/long/path now");
  EXPECT_EQ(wrapped(std::string(50, 'x'), 12, 3), std::string(50, 'x'));
}

TEST(Columns, CountsWhatATerminalShows) {
  assume_utf8();
  EXPECT_EQ(columns("abc"), 3);
  EXPECT_EQ(columns("\u65E5\u672C"), 4);
  EXPECT_EQ(columns("e\u0301"), 1);
  EXPECT_EQ(columns("\xFF"), 0);
}

}  // namespace
}  // namespace tessera::cli
