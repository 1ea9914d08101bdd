// Training on the command line: an adapter that the program itself opens, trainings that stop and
// go on, and what is said of those that cannot begin or end.
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

class TrainProgramTest : public test::ProgramTest {
 protected:
  std::string text() {
    std::string text;
    for (int i = 0; i < 60; ++i) text += "the same words again and again, ";
    return folder_.write("text", text).string();
  }
  Outcome train(const std::string& flags, const std::string& before = "") {
    return run("train lora " + model_ + " --length 24 --batch 3 --rank 2 --rate 0.01 " + flags,
               before);
  }
  std::string path(const std::string& name) { return (folder_ / name).string(); }
  // What its files hold.
  std::string bytes(const std::string& name) {
    if (!fs::is_directory(path(name))) return test::read_bytes(path(name));
    return test::read_bytes(path(name + "/adapter_model.safetensors")) +
           test::read_bytes(path(name + "/adapter_config.json"));
  }
};

TEST_F(TrainProgramTest, WritesAnAdapterThatMakesItsTextLikelier) {
  const std::string data = text();
  for (const std::string name : {"adapter", "adapter.gguf"}) {
    const Outcome outcome = train("--json --steps 12 --svg " + path("curve.svg") +
                                  " --force --data " + data + " -o " + path(name));
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    const json curve = json::parse(outcome.out);
    ASSERT_EQ(curve["losses"].size(), 12u);
    EXPECT_LT(curve["held_out"].back()["loss"], curve["held_out"][0]["loss"]);
    EXPECT_FALSE(fs::exists(path(name + ".training")));
    EXPECT_NE(test::read_bytes(path("curve.svg")).find("<svg"), std::string::npos);
    const auto perplexity = [&](const std::string& flags) {
      const Outcome scored = run("eval perplexity --json -c 64 " + model_ + " " + data + flags);
      EXPECT_EQ(scored.status, 0) << scored.err;
      return json::parse(scored.out)["perplexity"].get<double>();
    };
    EXPECT_LT(perplexity(" --lora " + path(name)), 0.9 * perplexity(""));
  }
}

TEST_F(TrainProgramTest, GoesOnWhereItStopped) {
  const std::string flags = "--steps 9 --save-every 2 --data " + text() + " -o ";
  ASSERT_EQ(train(flags + path("whole")).status, 0);
  // A second process ends the first behind its first state, however far it is.
  const std::string state = path("cut") + ".training";
  const std::string command =
      TESSERA_BINARY_DIR "/src/tessera train lora " + model_ +
      " --length 24 --batch 3 --rank 2 --rate 0.01 " + flags + path("cut") +
      " 2>/dev/null & p=$!; while [ ! -e " + state +
      " ] && kill -0 $p 2>/dev/null; do :; done; kill -9 $p 2>/dev/null; wait $p; true";
  ASSERT_EQ(std::system(command.c_str()), 0);
  if (fs::exists(path("cut"))) fs::remove_all(path("cut"));  // it was faster
  if (fs::exists(state)) {
    expect_error(train(flags + path("cut")), "--resume goes on with it", "neither");
    expect_error(train("--resume --seed 2 " + flags + path("cut")), "the state of another training",
                 "seed");
    const Outcome resumed = train("--resume " + flags + path("cut"));
    ASSERT_EQ(resumed.status, 0) << resumed.err;
    EXPECT_EQ(bytes("cut"), bytes("whole"));
  }
}

TEST_F(TrainProgramTest, WhatIsWrongIsOneLine) {
  const std::string data = text(), out = " -o " + path("learned");
  const auto empty = folder_.write("empty", "").string();
  const auto lines = folder_.write("bad.jsonl", "{\"text\": \"a b c\"}\n{\"x\": 1}\n").string();
  expect_error(train("--data " + empty + out), "'" + empty + "' has no example to learn from",
               "empty");
  expect_error(train("--data " + lines + out), "line 2: expected 'messages'", "line");
  expect_error(train("--data " + path("none") + out), "none", "no file");
  expect_error(train("--schedule steep --data " + data + out), "schedule 'steep' is not known",
               "schedule");
  expect_error(train("--resume --data " + data + out), "there is no training to go on with",
               "resume");
  expect_error(run("train lora " + model_ + " --rank 4000 --data " + data + out),
               "a rank of 4000 does not fit", "rank");
  EXPECT_EQ(run("train lora " + model_ + " --rank 0 --data " + data + out).status, 2);
  EXPECT_EQ(run("train").status, 2);
  expect_error(train("--data " + data + " -o " + path("no/such/folder/out")), "no/such/folder",
               "folder");
  ASSERT_EQ(train("--steps 1 --data " + data + out).status, 0);
  expect_error(train("--steps 1 --data " + data + out), "exists; --force overwrites it", "exists");
  EXPECT_EQ(train("--steps 1 --force --data " + data + out).status, 0);
}

TEST_F(TrainProgramTest, AFullDiskLeavesNothingHalfWritten) {
  const Outcome outcome =
      train("--steps 4 --save-every 1 --data " + text() + " -o " + path("full"), "ulimit -f 4; ");
  expect_error(outcome, "full.training", "full disk");
  for (const auto& entry : fs::directory_iterator(folder_.path()))
    EXPECT_EQ(entry.path().filename().string().find("full"), std::string::npos) << entry.path();
}

TEST_F(TrainProgramTest, HeadsDraftAndChangeNoToken) {
  const std::string heads = path("heads.gguf");
  const Outcome outcome =
      run("train medusa " + model_ +
          " --length 24 --batch 3 --rate 0.01 --steps 20 --heads 2 --json --data " + text() +
          " -o " + heads);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json result = json::parse(outcome.out);
  EXPECT_LT(result["held_out"].back()["loss"], result["held_out"][0]["loss"]);
  ASSERT_EQ(result["heads"].size(), 2u);
  EXPECT_LE(result["heads"][0]["top1"], result["heads"][0]["top5"]);
  const auto tokens = [&](const std::string& flags) {
    const Outcome answer =
        run("run " + model_ + " --raw 'the same' -n 24 --temp 0 --json " + flags);
    EXPECT_EQ(answer.status, 0) << answer.err;
    return json::parse(answer.out)["tokens"];
  };
  EXPECT_EQ(tokens("--decoder medusa --medusa " + heads), tokens("--decoder plain"));
}

TEST_F(TrainProgramTest, WithoutDataTheModelWritesWhatHeadsLearn) {
  const Outcome outcome = run("train medusa " + model_ +
                              " --length 16 --steps 2 --heads 1 --self-texts 4 --held-out 0.3 -o " +
                              path("heads.gguf"));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("head 1: first "), std::string::npos) << outcome.out;
}

TEST_F(TrainProgramTest, NamesWhatItCannotTrain) {
  const std::string mixture =
      write_tiny_model({.architecture = "qwen3moe"}, folder_.path()).string();
  expect_error(run("train lora " + mixture + " --data " + text() + " -o " + path("learned")),
               "models of 'qwen3moe' cannot be trained yet: training has no way back through "
               "mixtures of experts",
               "mixture");
}

}  // namespace
}  // namespace tessera
