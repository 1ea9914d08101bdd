// Distillation on the command line: a student that the program itself runs, the same bytes behind a
// stop, and what is said of a student that cannot be.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/program.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Outcome;

class DistillProgramTest : public test::ProgramTest {
 protected:
  std::string text() {
    std::string text;
    for (int i = 0; i < 60; ++i) text += "the same words again and again, ";
    return folder_.write("text", text).string();
  }
  std::string path(const std::string& name) { return (folder_ / name).string(); }
  Outcome distill(const std::string& flags) {
    return run("train distill " + teacher_ + " --batch 3 " + flags);
  }
  // How far a model is from the teacher, in nats a token.
  double divergence(const std::string& model) {
    const Outcome outcome = run("eval kl --json -c 64 " + model + " " + teacher_ + " " + text());
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return json::parse(outcome.out)["mean_kl"].get<double>();
  }

  std::string teacher_ = write_tiny_model({.layers = 3}, folder_.path()).string();
};

TEST_F(DistillProgramTest, WritesAStudentThatSaysWhatItsTeacherSays) {
  const std::string flags = "--student layers=2 --length 64 --json --data " + text();
  const Outcome begun =
      distill("--steps 1 --rate 0 --format F32 " + flags + " -o " + path("begun.gguf"));
  ASSERT_EQ(begun.status, 0) << begun.err;
  const Outcome outcome = distill("--steps 40 --rate 0.01 --svg " + path("curve.svg") + " " +
                                  flags + " -o " + path("out.gguf"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  const json result = json::parse(outcome.out);
  ASSERT_EQ(result["losses"].size(), 40u);
  ASSERT_EQ(result["divergence"].size(), 2u);
  EXPECT_LT(result["divergence"][1], 0.3 * result["divergence"][0].get<double>());
  EXPECT_NE(test::read_bytes(path("curve.svg")).find("<svg"), std::string::npos);
  EXPECT_FALSE(fs::exists(path("out.gguf.training")));
  EXPECT_LT(divergence(path("out.gguf")), 0.3 * divergence(path("begun.gguf")));
}

// Of a teacher who is random, the text pulls away, and so does what he is not heard of.
TEST_F(DistillProgramTest, LearnsByEveryPartOfTheLoss) {
  const Outcome outcome = distill(
      "--student layers=2 --length 24 --steps 40 --rate 0.01 --alpha 0.9 --temperature 2 "
      "--cosine 0.1 --top-k 250 --json --data " +
      text() + " -o " + path("out.gguf"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json result = json::parse(outcome.out);
  EXPECT_LT(result["losses"].back(), 0.5 * result["losses"][0].get<double>());
  EXPECT_LT(result["divergence"][1], 0.6 * result["divergence"][0].get<double>());
}

TEST_F(DistillProgramTest, GoesOnWhereItStoppedWithAnyThreads) {
  // More steps than it can take while a shell sees that the first state is there.
  const std::string flags =
      "--student layers=0,2 --length 24 --rate 0.01 --steps 60 --save-every 2 --data " + text() +
      " -o ";
  ASSERT_EQ(distill("-t 1 " + flags + path("whole.gguf")).status, 0);
  const std::string state = path("cut.gguf.training");
  const std::string command =
      TESSERA_BINARY_DIR "/src/tessera train distill " + teacher_ + " --batch 3 -t 2 " + flags +
      path("cut.gguf") + " 2>/dev/null & p=$!; while [ ! -e " + state +
      " ] && kill -0 $p 2>/dev/null; do :; done; kill -9 $p 2>/dev/null; wait $p; true";
  ASSERT_EQ(std::system(command.c_str()), 0);
  ASSERT_FALSE(fs::exists(path("cut.gguf")));
  ASSERT_TRUE(fs::exists(state));
  expect_error(distill("--resume --alpha 0.5 " + flags + path("cut.gguf")),
               "the state of another training", "another loss");
  const Outcome resumed = distill("-t 2 --resume " + flags + path("cut.gguf"));
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(test::read_bytes(path("cut.gguf")), test::read_bytes(path("whole.gguf")));
}

TEST_F(DistillProgramTest, AStudentMayBeAFile) {
  const std::string student = write_tiny_model({.seed = 3, .layers = 1}, folder_.path()).string();
  const Outcome outcome =
      distill("--student " + student + " --steps 2 --held-out 0 --json --data " + text() + " -o " +
              path("out.gguf"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(json::parse(outcome.out)["divergence"], nullptr);
  expect_error(
      distill("--student " + student + " --steps 1 --force --data " + text() + " -o " + student),
      "is the source itself", "student");
  EXPECT_EQ(run("run " + teacher_ + " --raw the -n 8 --temp 0 --draft " + path("out.gguf")).status,
            0);
}

TEST_F(DistillProgramTest, WithoutDataTheTeacherWritesWhatItsStudentLearns) {
  const Outcome outcome = distill(
      "--student layers=1 --length 200 --steps 2 --self-texts 4 "
      "--held-out 0.3 -o " +
      path("out.gguf"));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("divergence from the teacher "), std::string::npos) << outcome.out;
}

TEST_F(DistillProgramTest, WhatIsWrongIsOneLine) {
  const std::string rest = " --data " + text() + " -o " + path("out.gguf");
  expect_error(distill("--student layers=4" + rest), "expected 1 to the teacher's 3", "layers");
  expect_error(distill("--student layers=0,3" + rest), "layer 3 is not there", "layer");
  expect_error(distill("--student layers=some" + rest), "expected a number of layers", "no number");
  expect_error(distill("--student none.gguf" + rest), "none.gguf", "no file");
  expect_error(distill("--student layers=2 --alpha 0" + rest),
               "nothing of the teacher would be learned", "alpha");
  expect_error(distill("--student layers=2 --format Q9" + rest), "Q9", "format");
  const std::string other = write_tiny_model({.vocabulary = 400}, folder_.path()).string();
  expect_error(distill("--student " + other + rest), "another vocabulary than its teacher",
               "vocabulary");
  const std::string wider =
      write_tiny_model({.layers = 1, .embedding = 96}, folder_.path()).string();
  expect_error(distill("--student " + wider + " --cosine 1" + rest), "cannot be compared", "width");
  EXPECT_EQ(distill("--student layers=2 --alpha 2" + rest).status, 2);
  EXPECT_EQ(distill("--student layers=2 --temperature 0" + rest).status, 2);
  EXPECT_EQ(distill(rest).status, 2);
  EXPECT_FALSE(fs::exists(path("out.gguf")));
  EXPECT_FALSE(fs::exists(path("out.gguf.training")));
}

}  // namespace
}  // namespace tessera
