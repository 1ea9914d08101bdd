// What `tessera run` is asked, and what it says beside the answer.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "cli/program.h"
#include "support/embedding_folder.h"

namespace tessera {
namespace {

using nlohmann::json;
using test::Outcome;

class RunTest : public test::ProgramTest {
 protected:
  json ask(const std::string& arguments, const std::string& input = "") {
    const Outcome outcome = run("run --json " + arguments, "", input);
    EXPECT_EQ(outcome.status, 0) << arguments << ": " << outcome.err;
    return outcome.status == 0 ? json::parse(outcome.out) : json();
  }
  // The text that the model goes on from.
  std::string prompt_of(const std::string& arguments, const std::string& input = "") {
    return ask("-n 1 " + arguments, input)["prompt"].get<std::string>();
  }
};

TEST_F(RunTest, APromptComesFromWhereItIsGiven) {
  const std::string raw = model_ + " --raw ";
  const std::string file = folder_.write("prompt.txt", "of a file\n").string();
  EXPECT_EQ(prompt_of(raw + "'a positional one'"), "a positional one");
  EXPECT_EQ(prompt_of("--raw " + model_ + " 'caf\u00E9'"), "caf\u00E9");
  EXPECT_EQ(prompt_of(raw + "-p -dash"), "-dash");
  EXPECT_EQ(prompt_of(raw + "-- -dash"), "-dash");
  EXPECT_EQ(prompt_of(raw + "-f " + file), "of a file");
  EXPECT_EQ(prompt_of(raw, "of a pipe\n"), "of a pipe");
  EXPECT_EQ(prompt_of(raw, "two\nlines\n\n"), "two\nlines\n");
  EXPECT_EQ(prompt_of(raw + "--keep-newline", "of a pipe\n"), "of a pipe\n");
  EXPECT_EQ(prompt_of(raw + "-f -", "of a pipe\n"), "of a pipe");
}

TEST_F(RunTest, AFileComesBeforeWhatIsAskedAboutIt) {
  const std::string raw = model_ + " --raw ";
  const std::string file = folder_.write("notes.txt", "Some notes.\n").string();
  EXPECT_EQ(prompt_of(raw + "-f " + file + " 'Sum up.'"), "Some notes.\n\nSum up.");
  EXPECT_EQ(prompt_of(raw + "-f - -p 'Sum up.'", "Piped."), "Piped.\n\nSum up.");
}

// It may be somebody else's: the list that a loop reads, or a pipe that never ends.
TEST_F(RunTest, StandardInputStaysUnreadBesideAPrompt) {
  EXPECT_EQ(prompt_of(model_ + " --raw hello", "not for you\n"), "hello");
  const Outcome outcome = run("run " + model_ + " x -n 1; cat; }", "{ ", "first\nsecond\n");
  EXPECT_TRUE(outcome.out.ends_with("first\nsecond\n")) << outcome.out;
}

TEST_F(RunTest, NoPromptIsWrongUsage) {
  for (const std::string& arguments : {model_, model_ + " --chat", model_ + " -n 3"}) {
    const Outcome outcome = run("run " + arguments);
    EXPECT_EQ(outcome.status, 2) << arguments;
    EXPECT_NE(outcome.err.find("PROMPT"), std::string::npos) << outcome.err;
  }
  EXPECT_EQ(run("run " + model_ + " one two").status, 2);
  EXPECT_EQ(run("run " + model_ + " one -p two").status, 2);
  expect_error(run("run " + model_ + " ''"), "empty", "an empty prompt");
}

TEST_F(RunTest, TokensAndWordsThatEndOrAreBanned) {
  const std::string raw = model_ + " --raw hello -n 9 --ignore-eos ";
  EXPECT_EQ(
      ask(raw + "--logit-bias 300=1000 --stop-token-ids 301 --stop-token-ids 300")["finish_reason"],
      "stop");
  const json least = ask(raw + "--logit-bias 300=1000 --stop-token-ids 300 --min-tokens 4");
  EXPECT_EQ(least["tokens"].size(), 5u);
  EXPECT_EQ(least["tokens"].back(), 300);
  const std::string form = raw + R"(--grammar 'root ::= [abc]{6}' --bad-words a --bad-words c)";
  EXPECT_EQ(ask(form)["text"], "bbbbbb");
  EXPECT_EQ(run("run " + raw + "--stop-token-ids x").status, 2);
}

TEST_F(RunTest, AChatTemplateIsUsedWhereThereIsOne) {
  const std::string asked = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n";
  EXPECT_EQ(prompt_of(model_ + " hello"), asked);
  EXPECT_EQ(prompt_of(model_ + " hello --chat"), asked);
  EXPECT_EQ(prompt_of(model_, "hello\n"), asked);
  EXPECT_EQ(prompt_of(model_ + " hello --raw"), "hello");
  EXPECT_EQ(prompt_of(model_ + " hello --system Briefly."),
            "<|im_start|>system\nBriefly.<|im_end|>\n" + asked);
  EXPECT_EQ(run("run " + model_ + " hello --raw --chat").status, 2);
  EXPECT_EQ(run("run " + model_ + " hello --raw --system x").status, 2);
}

TEST_F(RunTest, ABaseModelCompletesUnlessAskedOtherwise) {
  for (const char* flags : {"", " --raw"}) {
    const Outcome outcome = run("run " + base_model_ + " hello -n 1 --json" + flags);
    EXPECT_EQ(json::parse(outcome.out)["prompt"], "hello") << flags;
    EXPECT_EQ(outcome.err, "") << flags;
  }
  for (const char* flags : {" --chat", " --system Briefly.", " --chat --system Briefly."}) {
    const Outcome outcome = run("run " + base_model_ + " hello -n 1 --json" + flags);
    EXPECT_TRUE(is_line(outcome.err, "warning: ")) << flags << ": " << outcome.err;
    EXPECT_NE(outcome.err.find("--raw"), std::string::npos) << outcome.err;
    const std::string prompt = json::parse(outcome.out)["prompt"];
    EXPECT_NE(prompt.find("<|im_start|>user"), std::string::npos) << prompt;
  }
  // A server says so, too: here before it finds that it has no memory.
  const std::string in_vain = " --kv-memory 1 --port 0";
  EXPECT_NE(run("serve " + base_model_ + in_vain).err.find("/v1/completions"), std::string::npos);
  EXPECT_EQ(run("serve " + model_ + in_vain).err.find("/v1/completions"), std::string::npos);
}

TEST_F(RunTest, AContextBeyondTheTrainingIsWarnedOfOnce) {
  const std::string text = folder_.write("text", std::string(2000, 'x')).string();
  for (const std::string& arguments : std::vector<std::string>{
           "run " + model_ + " hello -n 1", "run " + model_ + " hello -n 1 --chat",
           "logits " + model_ + " -p hello", "eval perplexity " + model_ + " " + text}) {
    for (const char* context : {"257", "900"}) {
      const Outcome outcome = run(arguments + " --ctx " + context);
      EXPECT_TRUE(is_line(outcome.err, "warning: ")) << arguments << ": " << outcome.err;
      EXPECT_NE(outcome.err.find(context), std::string::npos) << outcome.err;
      EXPECT_NE(outcome.err.find("256"), std::string::npos) << outcome.err;
    }
    for (const char* context : {"64", "256"}) {
      EXPECT_EQ(run(arguments + " --ctx " + context).err, "") << arguments << context;
    }
  }
}

TEST_F(RunTest, AnAnswerThatTheContextCutsSaysSo) {
  const std::string command = "run " + model_ + " hello --raw --ignore-eos --ctx 32 ";
  for (const char* flags : {"-n -1", "-n 100", "--json", "-n 31", "--decoder lookup"}) {
    const Outcome outcome = run(command + flags);
    EXPECT_EQ(outcome.status, 0);
    EXPECT_TRUE(is_line(outcome.err, "warning: ")) << flags << ": " << outcome.err;
    EXPECT_NE(outcome.err.find("32"), std::string::npos) << outcome.err;
  }
  for (const char* flags : {"-n 0", "-n 5", "-n 20"}) {
    EXPECT_EQ(run(command + flags).err, "") << flags;
  }
  EXPECT_EQ(run("run " + model_ + " hello --grammar 'root ::= \"x\"{3}'").err, "");
  // Room for the question, but for one token of an answer at most.
  const int size = ask(model_ + " hello -n 1")["usage"]["prompt_tokens"];
  const Outcome outcome = run(fmt::format("run {} hello --ignore-eos --ctx {}", model_, size));
  EXPECT_TRUE(is_line(outcome.err, "warning: ")) << outcome.err;
  expect_error(run(fmt::format("run {} hello --ctx {}", model_, size - 1)), "the context holds",
               "no room for the question");
}

TEST_F(RunTest, WithoutASeedEveryAnswerHasItsOwn) {
  const std::string command = model_ + " hello --temp 1 --ignore-eos -n 20";
  std::set<uint64_t> seeds;
  for (const char* flags : {"", "", " --seed -1"}) {
    const json first = ask(command + flags);
    seeds.insert(first["seed"].get<uint64_t>());
    const json again = ask(command + fmt::format(" --seed {}", first["seed"].get<uint64_t>()));
    EXPECT_EQ(again["tokens"], first["tokens"]) << first["seed"];
    EXPECT_EQ(again["seed"], first["seed"]);
  }
  EXPECT_EQ(seeds.size(), 3u);
  EXPECT_NE(run("run " + command + " --seed 77 --stats").err.find("seed 77"), std::string::npos);
  EXPECT_EQ(ask(command + " --seed 0")["seed"], 0);
}

TEST_F(RunTest, TimesHaveFourDigits) {
  const json answer = ask(model_ + " hello --ignore-eos -n 20");
  for (const auto& [name, value] : answer["timings"].items()) {
    EXPECT_EQ(value.get<double>(), std::stod(fmt::format("{:.4g}", value.get<double>()))) << name;
  }
}

TEST_F(RunTest, ABeamSearchPrintsTheBestText) {
  const std::string command = model_ + " hello --raw -n 12 --beams 4";
  const json found = ask(command);
  ASSERT_EQ(found["beams"].size(), 4u);
  EXPECT_EQ(found["text"], found["beams"][0]["text"]);
  EXPECT_EQ(found["tokens"], found["beams"][0]["tokens"]);
  for (size_t i = 1; i < 4; ++i)
    EXPECT_LE(found["beams"][i]["score"], found["beams"][i - 1]["score"]);
  EXPECT_EQ(run("run " + command).out, found["text"].get<std::string>() + "\n");
  EXPECT_EQ(ask(command + " --temp 0 --length-penalty 1 --early-stopping false")["beams"],
            found["beams"]);
  EXPECT_EQ(ask(command + " --length-penalty 2 --early-stopping never")["beams"].size(), 4u);
  EXPECT_FALSE(ask(model_ + " hello -n 2").contains("beams"));
  for (const char* flags : {"--temp 0.8", "--decoder lookup", "--beams 0", "--beams 1000",
                            "--early-stopping often", "--length-penalty long"}) {
    EXPECT_EQ(run("run " + command + " " + flags).status, 2) << flags;
  }
  EXPECT_EQ(run("run " + model_ + " hello --length-penalty 2").status, 2) << "without --beams";
}

TEST_F(RunTest, AModelThatEmbedsTextsGeneratesNone) {
  const std::string folder = (folder_ / "bert").string();
  std::filesystem::create_directory(folder);
  copy_embedding_folder(TESSERA_TEST_DATA, "bert", folder);
  std::string words;
  for (int i = 0; i < 600; ++i) words += "a b c d ";
  const std::string text = folder_.write("text.txt", words).string();
  for (const std::string& arguments :
       {"run " + folder + " --raw hi", "run " + folder + " hi", "logits " + folder + " -p hi",
        "eval perplexity " + folder + " " + text}) {
    expect_error(run(arguments), "a model of 'bert' embeds texts", arguments);
  }
}

}  // namespace
}  // namespace tessera
