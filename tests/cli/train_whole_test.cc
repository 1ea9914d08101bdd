// Training of all weights on the command line: files that the program opens, zeros that stay,
// trainings that stop and go on, and what is said of what cannot be.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/program.h"
#include "files/open.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Outcome;

class TrainWholeProgramTest : public test::ProgramTest {
 protected:
  std::string path(const std::string& name) { return (folder_ / name).string(); }
  Outcome train(const std::string& command, const std::string& flags, const std::string& name) {
    return run("train " + command + " --length 24 --batch 3 --data " + text_ + " " + flags +
               " -o " + path(name));
  }
  std::string bytes(const std::string& name) { return test::read_bytes(path(name)); }
  double perplexity(const std::string& model) {
    const Outcome scored = run("eval perplexity --json -c 64 " + model + " " + text_);
    EXPECT_EQ(scored.status, 0) << scored.err;
    return json::parse(scored.out)["perplexity"].get<double>();
  }
  // In nats a token.
  double divergence(const std::string& model, const std::string& reference) {
    const Outcome scored = run("eval kl --json -c 32 " + model + " " + reference + " " + text_);
    EXPECT_EQ(scored.status, 0) << scored.err;
    return json::parse(scored.out)["mean_kl"].get<double>();
  }
  static std::vector<float> decoded(const StoredTensor& tensor) {
    std::vector<float> values(tensor.elements());
    tensor.decode(0, tensor.rows(), values);
    return values;
  }

  std::string repeated() const {
    std::string text;
    for (int i = 0; i < 60; ++i) text += "the same words again and again, ";
    return text;
  }
  const std::string text_ = folder_.write("text", repeated()).string();
  // Its rows are whole numbers of blocks of 64.
  const std::string wide_ =
      write_tiny_model({.seed = 3, .layers = 2, .embedding = 64, .feed_forward = 128, .tied = true},
                       folder_.path())
          .string();
};

TEST_F(TrainWholeProgramTest, ATunedModelIsAFileThatFindsItsTextLikelier) {
  const Outcome outcome =
      train("finetune", model_ + " --json --steps 12 --rate 0.003 --format Q8_0", "tuned.gguf");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  const json curve = json::parse(outcome.out);
  EXPECT_LT(curve["held_out"].back()["loss"], curve["held_out"][0]["loss"]);
  EXPECT_FALSE(curve.contains("zeros"));
  EXPECT_FALSE(fs::exists(path("tuned.gguf.training")));
  EXPECT_EQ(open_checkpoint(path("tuned.gguf"))->require({TensorRole::kGate, 0}).format, &kQ8_0);
  EXPECT_LT(perplexity(path("tuned.gguf")), 0.8 * perplexity(model_));
}

// It is trained for what rounding does to it, so it is better than what is rounded behind the same
// training.
TEST_F(TrainWholeProgramTest, AModelTrainedForAFormatIsBetterInIt) {
  const std::string steps = wide_ + " --steps 40 --rate 0.003 --pure --format Q2_0";
  const Outcome outcome = train("qat", steps + " --alpha 0", "qat.gguf");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(open_checkpoint(path("qat.gguf"))->require({TensorRole::kGate, 0}).format, &kQ2_0);
  ASSERT_EQ(train("finetune", steps, "tuned.gguf").status, 0);
  EXPECT_LT(perplexity(path("qat.gguf")), 0.8 * perplexity(path("tuned.gguf")));
}

// Whatever text is read, it learns what the model said before it was rounded.
TEST_F(TrainWholeProgramTest, AModelTrainedForAFormatStaysTheModelThatItWas) {
  const Outcome outcome =
      train("qat", wide_ + " --json --steps 60 --rate 0.003 --pure --format Q2_0", "qat.gguf");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json curve = json::parse(outcome.out);
  EXPECT_LT(curve["held_out"].back()["loss"], 0.5 * curve["held_out"][0]["loss"].get<double>());
  ASSERT_EQ(run("quantize " + wide_ + " --format Q2_0 --pure -o " + path("rounded.gguf")).status,
            0);
  EXPECT_LT(divergence(path("qat.gguf"), wide_), 0.6 * divergence(path("rounded.gguf"), wide_));
}

TEST_F(TrainWholeProgramTest, APrunedModelLearnsFromWhatItWas) {
  ASSERT_EQ(run("quantize " + model_ + " --method magnitude --sparsity 50% --format F16 -o " +
                path("pruned.gguf"))
                .status,
            0);
  const Outcome outcome = train("finetune",
                                path("pruned.gguf") + " --keep-zeros --teacher " + model_ +
                                    " --steps 40 --rate 0.003 --temperature 2 --top-k 250",
                                "kept.gguf");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("zeros: 50.0 %"), std::string::npos) << outcome.out;
  EXPECT_LT(divergence(path("kept.gguf"), model_), 0.5 * divergence(path("pruned.gguf"), model_));
}

TEST_F(TrainWholeProgramTest, ZerosOfAPrunedModelStay) {
  ASSERT_EQ(run("quantize " + model_ + " --method magnitude --sparsity 50% --format F16 -o " +
                path("pruned.gguf"))
                .status,
            0);
  const Outcome outcome = train(
      "finetune", path("pruned.gguf") + " --keep-zeros --json --steps 8 --rate 0.003", "kept.gguf");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NEAR(json::parse(outcome.out)["zeros"].get<double>(), 0.5, 1e-3);
  const auto before = open_checkpoint(path("pruned.gguf")),
             after = open_checkpoint(path("kept.gguf"));
  for (const TensorRole role : {TensorRole::kQuery, TensorRole::kDown}) {
    const auto was = decoded(before->require({role, 1})), is = decoded(after->require({role, 1}));
    size_t zeros = 0, changed = 0;
    for (size_t i = 0; i < was.size(); ++i) {
      if (was[i] == 0) {
        ++zeros;
        EXPECT_EQ(is[i], 0);
      } else {
        changed += was[i] != is[i] ? 1 : 0;
      }
    }
    EXPECT_EQ(zeros, was.size() / 2);
    EXPECT_GT(changed, was.size() / 4);
  }
  EXPECT_LT(perplexity(path("kept.gguf")), 0.9 * perplexity(path("pruned.gguf")));
}

TEST_F(TrainWholeProgramTest, PrunesWhileItLearns) {
  const Outcome outcome = train("finetune",
                                model_ +
                                    " --prune 2:4 --prune-from 1 --prune-to 6 --steps 12 --rate "
                                    "0.003 --format Q8_0",
                                "pruned.gguf");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("zeros: 50.0 % of the layers' weights"), std::string::npos)
      << outcome.out;
  const auto gate = decoded(open_checkpoint(path("pruned.gguf"))->require({TensorRole::kGate, 1}));
  for (size_t i = 0; i < gate.size(); i += 4)
    ASSERT_GE(std::ranges::count(std::span(gate).subspan(i, 4), 0.0f), 2) << i;
}

TEST_F(TrainWholeProgramTest, GoesOnWhereItWasKilled) {
  const std::string flags =
      wide_ + " --format Q2_0 --prune 40% --steps 60 --save-every 2 --optimizer adamw8bit";
  ASSERT_EQ(train("qat", flags + " -t 1", "whole.gguf").status, 0);
  const std::string state = path("cut.gguf") + ".training";
  const std::string command = TESSERA_BINARY_DIR "/src/tessera train qat --length 24 --batch 3 " +
                              flags + " --data " + text_ + " -o " + path("cut.gguf") +
                              " 2>/dev/null & p=$!; while [ ! -e " + state +
                              " ] && kill -0 $p 2>/dev/null; do :; done; kill -9 $p 2>/dev/null; "
                              "wait $p; true";
  ASSERT_EQ(std::system(command.c_str()), 0);
  ASSERT_FALSE(fs::exists(path("cut.gguf")));
  ASSERT_TRUE(fs::exists(state));
  expect_error(train("qat", flags + " --resume --pure", "cut.gguf"),
               "the state of another training", "another plan of formats");
  const Outcome resumed = train("qat", flags + " --resume -t 3", "cut.gguf");
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(bytes("cut.gguf"), bytes("whole.gguf"));
}

TEST_F(TrainWholeProgramTest, ATernaryModelIsAFolder) {
  const Outcome outcome =
      train("qat", wide_ + " --format bitnet --steps 30 --rate 0.003 --json", "ternary/");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  const json curve = json::parse(outcome.out);
  EXPECT_LT(curve["held_out"].back()["loss"], curve["held_out"][0]["loss"]);
  ASSERT_EQ(run("quantize " + wide_ + " --format bitnet -o " + path("rounded/")).status, 0);
  EXPECT_LT(perplexity(path("ternary")), 0.8 * perplexity(path("rounded")));
}

TEST_F(TrainWholeProgramTest, AFormatThatDoesNotFitIsSaidBeforeTheSteps) {
  const Outcome outcome = train("qat", wide_ + " --format TQ2_0 --steps 1", "out.gguf");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("matrices have 64 columns, no whole number of TQ2_0's blocks of 256: "
                             "Q4_0 instead"),
            std::string::npos)
      << outcome.err;
}

TEST_F(TrainWholeProgramTest, WhatIsWrongIsOneLine) {
  expect_error(train("qat", model_ + " --format Q9", "out.gguf"), "unknown format 'Q9'", "format");
  expect_error(train("qat", model_ + " --format IQ2_S", "out.gguf"),
               "encoding to IQ2_S is not supported", "read only");
  expect_error(train("finetune", model_ + " --format gptq-4bit-128g", "out.gguf"), "tensor 'blk.",
               "groups of another length");
  expect_error(train("finetune", model_ + " --keep-zeros", "out.gguf"), "has no zeros to keep",
               "dense");
  expect_error(train("finetune", model_ + " --prune 50% --format Q4_1", "out.gguf"),
               "has no code for zero", "format with a minimum");
  expect_error(train("finetune", model_ + " --prune 2", "out.gguf"), "sparsity is '2'", "share");
  expect_error(train("finetune", model_ + " --optimizer sgd", "out.gguf"),
               "optimizer 'sgd' is not known, expected adamw or adamw8bit", "optimizer");
  expect_error(train("finetune", model_ + " --prune 2:4 --prune-scope global", "out.gguf"),
               "no scope but their row", "scope");
  expect_error(train("finetune", model_ + " --prune 50% --steps 10 --prune-to 10", "out.gguf"),
               "cannot be pruned from step 0 to 10: there are 10 steps", "steps");
  expect_error(train("finetune", model_ + " --force", "text"), "is the source itself", "data");
  EXPECT_EQ(train("finetune", model_ + " --prune-to 3", "out.gguf").status, 2);
  EXPECT_EQ(train("finetune", model_ + " --alpha 0.5", "out.gguf").status, 2);
  const std::string other = write_tiny_model({.vocabulary = 400}, folder_.path()).string();
  expect_error(train("finetune", model_ + " --teacher " + other, "out.gguf"),
               "another vocabulary than its student: 400 tokens, here they are 320", "teacher");
  expect_error(train("finetune", model_ + " --alpha 0 --teacher " + model_, "out.gguf"),
               "nothing of the teacher would be learned", "alpha");
  EXPECT_EQ(run("train qat " + model_ + " --data " + text_ + " -o " + path("out.gguf")).status, 2);
  EXPECT_EQ(run("train finetune " + model_ + " -o " + path("out.gguf")).status, 2);
  fs::create_directory(path("folder"));
  expect_error(train("finetune", model_ + " --force", "folder"), "is a folder", "folder");
  for (const auto& entry : fs::directory_iterator(folder_.path()))
    EXPECT_NE(entry.path().extension(), ".training") << entry.path();
}

}  // namespace
}  // namespace tessera
