// The program as a shell runs it: exit status, and what stands on which stream.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <string>

#include "paths.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera::test {

struct Outcome {
  int status = 0;
  std::string out, err;
};

class ProgramTest : public testing::Test {
 protected:
  // Runs `tessera ARGUMENTS` in a shell; `before` is shell code that runs first, `input` what the
  // program reads.
  Outcome run(const std::string& arguments, const std::string& before = "",
              const std::string& input = "") {
    const std::string in = folder_.write("in", input).string();
    const std::string out = (folder_ / "out").string(), err = (folder_ / "err").string();
    const std::string command = before + TESSERA_BINARY_DIR "/src/tessera " + arguments + " > " +
                                out + " 2> " + err + " < " + in;
    const int code = std::system(command.c_str());
    return {WIFEXITED(code) ? WEXITSTATUS(code) : -1, read_bytes(out), read_bytes(err)};
  }
  // One line, and all of it.
  static bool is_line(const std::string& text, const std::string& beginning) {
    return text.starts_with(beginning) && text.find('\n') == text.size() - 1;
  }
  // A failure said in one line that begins "error:".
  static void expect_error(const Outcome& outcome, const std::string& part,
                           const std::string& what) {
    EXPECT_EQ(outcome.status, 1) << what;
    EXPECT_TRUE(is_line(outcome.err, "error: ")) << what << ": " << outcome.err;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << what << ": " << outcome.err;
  }

  TempFolder folder_;
  std::string model_ = write_tiny_model({}, folder_.path()).string();
  std::string base_model_ = write_tiny_model({.chat_template = false}, folder_.path()).string();
};

}  // namespace tessera::test
