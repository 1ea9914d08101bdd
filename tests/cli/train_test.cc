// Training on the command line: an adapter that the program itself opens, trainings that stop and
// go on, and what is said of those that cannot begin or end.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>

#include "cli/program.h"
#include "support/rewritten_gguf.h"

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
  // More steps than it can take while a shell sees that the first state is there.
  const std::string flags = "--steps 40 --save-every 2 --data " + text() + " -o ";
  ASSERT_EQ(train(flags + path("whole")).status, 0);
  const std::string state = path("cut") + ".training";
  const std::string command =
      TESSERA_BINARY_DIR "/src/tessera train lora " + model_ +
      " --length 24 --batch 3 --rank 2 --rate 0.01 " + flags + path("cut") +
      " 2>/dev/null & p=$!; while [ ! -e " + state +
      " ] && kill -0 $p 2>/dev/null; do :; done; kill -9 $p 2>/dev/null; wait $p; true";
  ASSERT_EQ(std::system(command.c_str()), 0);
  ASSERT_FALSE(fs::exists(path("cut")));
  ASSERT_TRUE(fs::exists(state));
  expect_error(train(flags + path("cut")), "--resume goes on with it", "neither");
  expect_error(train("--resume --seed 2 " + flags + path("cut")), "the state of another training",
               "seed");
  const std::string other = write_tiny_model({.seed = 2}, folder_.path()).string();
  expect_error(run("train lora " + other + " --length 24 --batch 3 --rank 2 --rate 0.01 --resume " +
                   flags + path("cut")),
               "the state of another training", "another model of the same shape");
  const Outcome resumed = train("--resume " + flags + path("cut"));
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(bytes("cut"), bytes("whole"));
}

TEST_F(TrainProgramTest, AnOutputThatCannotBeWrittenCostsNoStep) {
  const std::string flags = "--steps 5 --data " + text() + " -o ";
  ASSERT_EQ(train(flags + path("whole")).status, 0);
  fs::create_directories(path("late/adapter_model.safetensors"));  // in the way at the end
  expect_error(train("--force " + flags + path("late")), "adapter_model.safetensors", "in the way");
  ASSERT_TRUE(fs::exists(path("late.training")));
  fs::remove(path("late/adapter_model.safetensors"));
  const Outcome resumed = train("--resume --force --json " + flags + path("late"));
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(json::parse(resumed.out)["losses"].size(), 5u);
  EXPECT_EQ(bytes("late"), bytes("whole"));
  EXPECT_FALSE(fs::exists(path("late.training")));
}

// Before the first step: none leaves a state.
TEST_F(TrainProgramTest, WhatCannotBeWrittenFailsAtOnce) {
  const std::string data = " --data " + text();
  const auto file = folder_.write("taken", "x").string();
  expect_error(train("--force" + data + " -o " + file), "is a file, and a folder is to be written",
               "file");
  fs::create_directory(path("folder.gguf"));
  expect_error(train("--force" + data + " -o " + path("folder.gguf")), "is a folder", "folder");
  expect_error(run("train medusa " + model_ + " --force" + data + " -o " + path("folder.gguf")),
               "is a folder", "heads");
  expect_error(train("--force" + data + " -o " + model_), "is the source itself", "model");
  const auto words = folder_.write("words.gguf", "some words").string();
  expect_error(train("--force --data " + words + " -o " + words), "is the source itself", "data");
  expect_error(train(data + " -o " + path("learned") + " --svg " + model_), "is the source itself",
               "picture");
  expect_error(train(data + " -o " + path("learned") + " --svg " + path("no/such.svg")),
               "no/such.svg", "picture's folder");
  for (const char* family : {"gpt-neox", "bloom"}) {
    expect_error(run(std::string("train lora --rank 2 ") + TESSERA_TEST_DATA "/folders/" + family +
                     data + " -o " + path("learned")),
                 "name a file that ends in .gguf", family);
  }
  for (const auto& entry : fs::directory_iterator(folder_.path()))
    EXPECT_NE(entry.path().extension(), ".training") << entry.path();
}

TEST_F(TrainProgramTest, TokensThatTheModelHasNoRowsForAreRefused) {
  const auto narrow = test::rewrite_gguf(
      model_, folder_ / "narrow.gguf",
      {.tensor =
           [](StoredTensor& tensor) {
             if (tensor.name.starts_with("token_embd") || tensor.name.starts_with("output.weight"))
               tensor.shape[1] -= 8;
             return true;
           },
       .bytes =
           [](const StoredTensor& tensor, std::vector<std::byte>& bytes) {
             bytes.resize(tensor.elements() * sizeof(float));
           }});
  for (const std::string command : {"lora", "medusa"}) {
    expect_error(run("train " + command + " " + narrow.string() + " --length 24 --data " + text() +
                     " -o " + path("out.gguf")),
                 "tokens, the model only", command);
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
  EXPECT_EQ(train("--held-out 0.1 --held-out-data " + data + " --data " + data + out).status, 2);
  EXPECT_EQ(run("train medusa " + model_ + " --self-texts 4 --data " + data + out + ".gguf").status,
            2);
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
  const auto answer = [&](const std::string& flags) {
    const Outcome answered =
        run("run " + model_ + " --raw 'the same' -n 24 --temp 0 --json " + flags);
    EXPECT_EQ(answered.status, 0) << answered.err;
    return json::parse(answered.out);
  };
  const json drafted = answer("--decoder medusa --medusa " + heads);
  EXPECT_EQ(drafted["tokens"], answer("--decoder plain")["tokens"]);
  EXPECT_GT(drafted["decoder"]["drafted"], 0);
}

TEST_F(TrainProgramTest, AnEagleDraftDraftsAndChangesNoToken) {
  const std::string draft = path("draft.gguf");
  const Outcome outcome =
      run("train eagle " + model_ +
          " --length 24 --batch 3 --rate 0.01 --steps 20 --passes 2 --vocabulary 200 --json"
          " --data " +
          text() + " -o " + draft);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json result = json::parse(outcome.out);
  EXPECT_LT(result["held_out"].back()["loss"], result["held_out"][0]["loss"]);
  EXPECT_EQ(result["top1"].size(), 4u);
  EXPECT_EQ(result["vocabulary"]["tokens"], 200);
  const auto answer = [&](const std::string& flags) {
    const Outcome answered =
        run("run " + model_ + " --raw 'the same' -n 24 --temp 0 --json " + flags);
    EXPECT_EQ(answered.status, 0) << answered.err;
    return json::parse(answered.out);
  };
  const json drafted = answer("--decoder mtp --eagle " + draft);
  EXPECT_EQ(drafted["tokens"], answer("--decoder plain")["tokens"]);
  EXPECT_GT(drafted["decoder"]["drafted"], 0);
  // Smaller, and still a draft.
  const std::string smaller = path("smaller.gguf");
  const Outcome quantized = run("quantize " + draft + " --format Q4_0 -o " + smaller);
  ASSERT_EQ(quantized.status, 0) << quantized.err;
  EXPECT_EQ(answer("--decoder mtp --eagle " + smaller)["tokens"], drafted["tokens"]);
  expect_error(run("run " + model_ + " --raw x --mtp --eagle " + draft), "give one", "both");
  expect_error(run("run " + model_ + " --raw x --eagle " + model_), "holds no EAGLE draft",
               "model");
}

TEST_F(TrainProgramTest, HeadsThatNothingJudgesHaveNoAccuracy) {
  const Outcome outcome = run("train medusa " + model_ +
                              " --length 24 --batch 3 --steps 1 --heads 2 --held-out 0 --json "
                              "--data " +
                              text() + " -o " + path("heads.gguf"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(json::parse(outcome.out)["heads"], json::parse("[null, null]"));
  EXPECT_EQ(json::parse(outcome.out)["tokens_per_step"], nullptr);
}

// Chats, or texts of a model without a chat template: each another one, though all begin alike.
TEST_F(TrainProgramTest, WithoutDataTheModelWritesWhatHeadsLearn) {
  const std::string base = write_tiny_model({.chat_template = false}, folder_.path()).string();
  for (const auto& [model, kind] : {std::pair(model_, ".data.jsonl"), {base, ".data.txt"}}) {
    const std::string out = path("heads.gguf"), flags = " --steps 2 --heads 1 --held-out 0.3 -o ";
    const std::string command = "train medusa " + model + " --length 200" + flags + out;
    const Outcome outcome = run(command + " --self-texts 6 --force");
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_NE(outcome.out.find("head 1: first "), std::string::npos) << outcome.out;
    std::ifstream written(out + kind);
    std::set<std::string> lines;
    for (std::string line; std::getline(written, line);) lines.insert(line);
    EXPECT_GE(lines.size(), 6);
    std::filesystem::remove(out);
    expect_error(run(command), "exists: --data learns from it", "data of before");
    EXPECT_EQ(run(command + " --data " + out + kind).status, 0);
  }
}

TEST_F(TrainProgramTest, AModelWritesChatsToLearnFrom) {
  const auto end = static_cast<int>(
      GgufFile::open(model_).metadata().require_int("tokenizer.ggml.eos_token_id"));
  const std::string model = write_tiny_model({.says = {65, 66, end}}, folder_.path()).string();
  const std::string out = path("chats.jsonl");
  const Outcome outcome = run("train chats " + model + " --chats 70 --json -o " + out);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(json::parse(outcome.out), json::parse(R"({"chats": 70})"));
  std::istringstream lines(test::read_bytes(out));
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const json messages = json::parse(line)["messages"];
    ASSERT_EQ(messages.size(), 2u);
    EXPECT_EQ(messages[0]["role"], "user");
    EXPECT_EQ(messages[1]["role"], "assistant");
    EXPECT_EQ(messages[1]["content"], messages[0]["content"]);
    EXPECT_NE(messages[0]["content"], "");
  }
  EXPECT_EQ(count, 70);
  EXPECT_EQ(run("train medusa " + model + " --heads 1 --steps 1 --data " + out + " -o " +
                path("heads.gguf"))
                .status,
            0);
  expect_error(run("train chats " + model + " -o " + out), "exists; --force overwrites it",
               "exists");
  expect_error(run("train chats " + base_model_ + " -o " + path("none.jsonl")),
               "has no chat template", "base model");
  EXPECT_FALSE(fs::exists(path("none.jsonl")));
  expect_error(run("train chats " + model + " -o " + path("chats.json")), "does not end in .jsonl",
               "an ending");
}

TEST_F(TrainProgramTest, AnotherSeedHasOtherChats) {
  std::set<std::string> chats;
  for (const char* seed : {"1", "2"}) {
    const std::string out = path(seed) + ".jsonl";
    const Outcome outcome = run("train chats " + model_ + " --chats 8 --length 200 --seed " + seed +
                                " --json -o " + out);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    ASSERT_EQ(json::parse(outcome.out)["chats"], 8);
    std::istringstream lines(test::read_bytes(out));
    for (std::string line; std::getline(lines, line);) chats.insert(line);
  }
  EXPECT_EQ(chats.size(), 16u);
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
