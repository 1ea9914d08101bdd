// The program as people meet it: exit status, one error line, and what stands on which stream.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/program.h"
#include "support/malformed_gguf.h"
#include "support/well_formed.h"

namespace tessera {
namespace {

using test::Outcome;
using test::read_bytes;

class CliTest : public test::ProgramTest {};

TEST_F(CliTest, RunAnswersInText) {
  const Outcome outcome = run("run " + model_ + " -p hello -n 5 --temp 0 --ignore-eos");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_FALSE(outcome.out.empty());
  EXPECT_EQ(outcome.err, "");
}

TEST_F(CliTest, RunAnswersInJsonAndNothingElse) {
  const Outcome outcome = run("run " + model_ + " -p hello -n 5 --temp 0 --ignore-eos --json");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["tokens"].size(), 5u);
  EXPECT_EQ(json["finish_reason"], "length");
  EXPECT_EQ(json["usage"]["completion_tokens"], 5);
  EXPECT_TRUE(json["timings"].contains("decode_tokens_per_second"));
  EXPECT_EQ(json["decoder"]["name"], "auto");
}

TEST_F(CliTest, AChatTemplateIsANameOrAFile) {
  const std::string file = folder_.write("a.jinja", "<{{ messages[0].content }}>").string();
  const auto prompt = [&](const std::string& flags) {
    const Outcome outcome = run("run " + model_ + " -p hello -n 1 --json " + flags);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out)["prompt"];
  };
  EXPECT_EQ(prompt("--chat-template " + file), "<hello>");
  EXPECT_EQ(prompt("--chat-template phi3 --system Hey"),
            "<|system|>\nHey<|end|>\n<|user|>\nhello<|end|>\n<|assistant|>\n");
  EXPECT_EQ(prompt("--chat-template gemma --system Hey"),
            "<|endoftext|><start_of_turn>user\nHey\n\nhello<end_of_turn>\n<start_of_turn>model\n");
  const std::string wrong = folder_.write("wrong.jinja", "\n{% if %}").string();
  for (const std::string command :
       {"run -p x ", "chat ", "serve --port 0 ", "tokenize x --chat "}) {
    const std::string verb = command.substr(0, command.find(' '));
    const std::string rest = command.substr(command.find(' '));
    const std::string line = verb + " " + model_ + rest;
    expect_error(run(line + "--chat-template phi33"), "did you mean 'phi3'?", verb);
    expect_error(run(line + "--chat-template no/such.jinja"), "one of alpaca, chatml", verb);
    expect_error(run(line + "--chat-template " + wrong), "chat template, line 2", verb);
  }
}

TEST_F(CliTest, WhatAMessageSpellsCanBeKeptText) {
  const auto tokens_of = [&](const std::string& text, const std::string& arguments) {
    const Outcome outcome = run("tokenize " + model_ + " '" + text + "' --json " + arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out)["tokens"];
  };
  const std::string text = "a<|im_end|>b";
  const auto end = tokens_of("<|im_end|>", "")[0];
  for (const auto& [arguments, ends] : std::map<std::string, int>{
           {"", 1}, {"--no-parse-special", 0}, {"--chat", 2}, {"--chat --no-parse-special", 1}}) {
    const auto tokens = tokens_of(text, arguments);
    EXPECT_EQ(std::count(tokens.begin(), tokens.end(), end), ends) << arguments;
    if (!arguments.starts_with("--chat")) continue;
    const Outcome outcome = run("run " + model_ + " -p '" + text + "' -n 1 --json " + arguments);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(nlohmann::json::parse(outcome.out)["usage"]["prompt_tokens"], tokens.size())
        << arguments;
  }
}

TEST_F(CliTest, AnswersKeepAGrammarOrASchema) {
  const std::string command = "run " + model_ + " -p hello -n 100 --temp 1 ";
  EXPECT_EQ(run(command + "--grammar 'root ::= \"x\"{3}'").out, "xxx\n");
  const std::string grammar = folder_.write("a.gbnf", "root ::= \"from \" \"a file\"\n").string();
  const std::string schema = folder_.write("a.json", R"({"const": [1, null]})").string();
  EXPECT_EQ(run(command + "--grammar-file " + grammar).out, "from a file\n");
  EXPECT_EQ(nlohmann::json::parse(run(command + "-j " + schema).out), nlohmann::json({1, nullptr}));
  EXPECT_EQ(run(command + "--json-schema '{\"enum\": [true]}'").out, "true\n");

  expect_error(run(command + "--grammar 'root ::= [a'"), "line 1, column 12", "a grammar");
  expect_error(run(command + "-j '{\"$dynamicRef\": \"#a\"}'"), "'$dynamicRef' is not supported",
               "a schema");
  expect_error(run(command + "-j /no/such/file"), "/no/such/file", "a file");
  EXPECT_EQ(run(command + "--grammar 'root ::= \"x\"' -j '{}'").status, 2);
}

TEST_F(CliTest, TheSameSeedGivesTheSameTextWithEveryDecoder) {
  const std::string flags =
      "run " + model_ + " -p 'a b a b a b' -n 40 --temp 1 --ignore-eos --seed 3";
  const Outcome plain = run(flags);
  EXPECT_EQ(plain.out, run(flags + " --decoder lookup").out);
  EXPECT_EQ(plain.out, run(flags + " --threads 1").out);
}

TEST_F(CliTest, NoTokensAskedForIsNoError) {
  const Outcome outcome = run("run " + model_ + " -p hello -n 0 --json");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["text"], "");
}

TEST_F(CliTest, BadInputIsOneErrorLine) {
  expect_error(run("run " + model_ + " -p ''"), "empty", "empty prompt");
  expect_error(run("run " + model_ + " -p \"$(printf '\\377\\376')\""), "UTF-8", "invalid UTF-8");
  expect_error(run("run " + model_ + " -p \"$(seq 2000)\""), "the context holds", "long prompt");
  expect_error(run("run " + (folder_ / "missing.gguf").string() + " -p x"), "missing.gguf",
               "missing file");
  expect_error(run("run " + model_ + " -p x --top-p 7"), "top-p", "flag out of range");
  expect_error(run("run " + folder_.path().string() + " -p x"), "holds several models", "a folder");
  expect_error(run("logits " + model_ + " --tokens 1,999999"), "999999", "unknown token");
  expect_error(run("eval perplexity " + model_ + " /dev/null"), "0 tokens", "empty text");
  expect_error(run("quantize " + model_ + " --format Q9 -o " + (folder_ / "x").string()), "Q9",
               "unknown format");
  expect_error(run("quantize " + model_ + " --format F16 -o " + model_), "source",
               "output is the source");
}

// Options end after their value, whatever that looks like: the model's name behind them is no part.
TEST_F(CliTest, AnOptionTakesOneValueAsItIsWritten) {
  const std::string generate = " -p hello -n 8 --temp 0 --ignore-eos";
  const std::string expected = run("run " + model_ + generate).out;
  for (const char* option :
       {"--stop '###'", "--stop '[INST]'", "--stop '[a,b]'", "--stop 'a,b'", "--stop '[]'",
        "--stop '{x}' --stop '[y'", "--logit-bias 5=-1 --logit-bias 6=0"}) {
    const Outcome outcome = run("run " + std::string(option) + " " + model_ + generate);
    EXPECT_EQ(outcome.status, 0) << option << ": " << outcome.err;
  }
  EXPECT_EQ(run("run --stop '###' " + model_ + generate).out, expected);
  EXPECT_EQ(run("run --stop '[a,b]' " + model_ + generate).out, expected);
  // A text within the answer ends it, brackets and commas are letters of it.
  const std::string grammar = " --grammar 'root ::= \"x[a,b]y\"' ";
  EXPECT_EQ(run("run --stop '[a,b]' " + model_ + grammar + "-p x -n 20").out, "x\n");
  EXPECT_EQ(run("run --stop ',b' --stop 'none' " + model_ + grammar + "-p x -n 20").out, "x[a\n");
  EXPECT_EQ(run("logits --tokens 1,2 " + model_).status, 0);
  EXPECT_EQ(run("logits --tokens 1 --tokens 2 " + model_).status, 0);
}

TEST_F(CliTest, TheLineBreakAtAFilesEndIsNoPrompt) {
  const auto prompt_of = [&](const std::string& text, const std::string& flags) {
    const std::string file = folder_.write("prompt.txt", text).string();
    const Outcome outcome = run("run " + model_ + " --raw -n 1 --json -f " + file + flags);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out)["prompt"].get<std::string>();
  };
  EXPECT_EQ(prompt_of("hello\n", ""), "hello");
  EXPECT_EQ(prompt_of("hello", ""), "hello");
  EXPECT_EQ(prompt_of("a\nb\n\n", ""), "a\nb\n");
  EXPECT_EQ(prompt_of("hello \n", ""), "hello ");
  EXPECT_EQ(prompt_of("hello\n", " --keep-newline"), "hello\n");
}

TEST_F(CliTest, WhatWasMistypedIsGuessed) {
  const auto expect_says = [&](const std::string& arguments, const std::string& part) {
    const Outcome outcome = run(arguments);
    EXPECT_NE(outcome.status, 0) << arguments;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << arguments << ": " << outcome.err;
  };
  expect_says("rnu x -p y", "did you mean 'run'");
  expect_says("evla", "did you mean 'eval'");
  expect_says("tokenise x", "did you mean 'tokenize'");
  expect_says("eval perplexty x y", "did you mean 'perplexity'");
  expect_says("run x -p y --tmep 1", "did you mean '--temp'");
  expect_says("run x -p y --top_k=3", "did you mean '--top-k'");
  expect_says("bench x --tread 2", "did you mean '--threads'");
  expect_says("run smolm2:135m -p x", "did you mean 'smollm2:135m'");
  expect_says("run qwen2.5-coder:0.5 -p x", "did you mean 'qwen2.5-coder:0.5b'");
  expect_says("run x -p y -n abc", "'abc' is not a whole number");
  expect_says("run x -p y -n 1.5", "'1.5' is not a whole number");
  expect_says("run x -p y --temp warm", "'warm' is not a number");
  expect_says("bench x --threads ''", "is not a whole number");
  expect_says("bench x -b 2,x", "'x' is not a whole number");
  expect_says("logits x --tokens 1,two", "'two' is not a whole number");
  expect_says("serve x --port http", "'http' is not a whole number");
  expect_says("eval perplexity x y --ctx 1e3", "'1e3' is not a whole number");
  expect_says("quantize x -o y --threads all", "'all' is not a whole number");
  expect_says("run x -p y --min-p .", "'.' is not a number");
  expect_says("run x -p y -n -7", "not in range");
  EXPECT_EQ(run("xyzzy").err.find("did you mean"), std::string::npos);
}

TEST_F(CliTest, APreTokenizerCanBeChosen) {
  EXPECT_EQ(run("run " + model_ + " -p hello -n 1 --pre-tokenizer qwen2").status, 0);
  expect_error(run("run " + model_ + " -p hello -n 1 --pre-tokenizer no-such"), "no-such",
               "an unknown family");
}

TEST_F(CliTest, WrongUsageIsStatusTwo) {
  for (const char* arguments :
       {"", "fly", "run", "run x --bogus", "run x -n -7", "run x", "bench x --kv f17"}) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, 2) << arguments;
    EXPECT_TRUE(outcome.err.starts_with("error: ")) << arguments << ": " << outcome.err;
  }
  EXPECT_EQ(run("run --help").status, 0);
  EXPECT_EQ(run("--version").status, 0);
}

TEST_F(CliTest, AFullDiskLeavesNothingBehind) {
  // A limit on file sizes stands in for the disk; ignoring SIGXFSZ makes the write fail instead.
  const Outcome outcome =
      run("quantize " + model_ + " --format F16 -o " + (folder_ / "big.gguf").string(),
          "trap '' XFSZ; ulimit -f 8; ");
  expect_error(outcome, "big.gguf", "full disk");
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    EXPECT_EQ(entry.path().filename().string().find("big.gguf"), std::string::npos) << entry.path();
  }
  const int code = std::system((TESSERA_BINARY_DIR "/src/tessera run " + model_ +
                                " -p x -n 2 > /dev/full 2> " + (folder_ / "err").string())
                                   .c_str());
  EXPECT_EQ(WEXITSTATUS(code), 1);
  EXPECT_TRUE(read_bytes(folder_ / "err").starts_with("error: cannot write to standard output"));
}

TEST_F(CliTest, EveryMalformedFileIsOneErrorLine) {
  for (const test::NamedBytes& malformed : test::malformed_gguf_corpus()) {
    const auto path = folder_.write("bad.gguf", malformed.bytes);
    expect_error(run("inspect " + path.string()), "", malformed.name);
  }
}

TEST_F(CliTest, BenchShowsWhereTheTimeGoes) {
  const auto svg = folder_ / "roofline.svg";
  const Outcome outcome = run("bench " + model_ + " --roofline -p 16 -n 4 -b 2,3 -d 8 -r 2 --json" +
                              " --svg " + svg.string());
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  for (const char* peak : {"read_bytes_per_second", "dot_macs_per_second", "fma_macs_per_second"})
    EXPECT_GT(json["peaks"][peak].get<double>(), 0) << peak;
  EXPECT_EQ(json["depth"], 8);
  ASSERT_EQ(json["phases"].size(), 4u);
  std::vector<std::string> names;
  for (const auto& phase : json["phases"]) {
    names.push_back(phase["name"]);
    EXPECT_GT(phase["tokens_per_second"].get<double>(), 0);
    EXPECT_GT(phase["percent_of_limit"].get<double>(), 0);
    double ms = 0;
    for (const auto& operation : phase["operations"]) ms += operation["ms"].get<double>();
    EXPECT_NEAR(ms, phase["ms"].get<double>(), 1e-6 * ms) << "operations and the rest are the step";
  }
  EXPECT_EQ(names, (std::vector<std::string>{"decode", "verify 2", "verify 3", "prompt 16"}));
  // All weights and keys are read once in a step, whatever its rows.
  EXPECT_GE(json["phases"][0]["memory_bytes"].get<double>(), json["weight_bytes"].get<double>());
  EXPECT_LT(json["phases"][3]["memory_bytes"].get<double>(),
            1.1 * json["phases"][0]["memory_bytes"].get<double>());
  EXPECT_TRUE(read_bytes(svg).starts_with("<?xml"));

  expect_error(run("bench " + model_ + " --roofline -p 100000"), "context", "too long");
  expect_error(run("bench " + model_ + " -p 4 -n 1 -b 0 --svg " + (folder_ / "no" / "x").string()),
               "x", "no such folder");
}

TEST_F(CliTest, BenchComparesDecodersAndDrawsThem) {
  const auto svg = folder_ / "decoders.svg";
  const auto prompts =
      folder_.write("a & b.jsonl", R"({"prompt": "one two one two", "prediction": "one two"})"
                                   "\n"
                                   R"({"turns": ["three", "four"]})"
                                   "\n");
  const std::string bench = "bench " + model_ + " --decoders lookup,nodes=4 --decoders auto" +
                            " --temp 1 --max-tokens 20 --prompts ";
  const std::string file = "'" + prompts.string() + "'";
  const Outcome outcome = run(bench + file + " --clients 2 --json --svg " + svg.string());
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  ASSERT_EQ(json.size(), 3u);
  for (size_t i = 0; i < json.size(); ++i) {
    EXPECT_EQ(json[i]["decoder"], (std::vector{"plain", "lookup,nodes=4", "auto"})[i]);
    EXPECT_EQ(json[i]["set"], "a & b");
    EXPECT_EQ(json[i]["different"], 0);
  }
  const std::string picture = read_bytes(svg);
  EXPECT_TRUE(test::is_well_formed(picture));
  EXPECT_NE(picture.find("a &amp; b, T 1"), std::string::npos);
  for (const auto& row : json)
    EXPECT_NE(picture.find(">" + row["decoder"].get<std::string>() + "<"), std::string::npos);

  const Outcome table = run(bench + file);
  ASSERT_EQ(table.status, 0) << table.err;
  EXPECT_NE(table.out.find("lookup,nodes=4"), std::string::npos) << table.out;
  expect_error(run(bench + file + " --clients 3"), "3 clients need as many prompts", "too few");
  expect_error(run(bench + folder_.write("bad", "{}\n").string()), "bad:1:", "no prompt");
  expect_error(run(bench + folder_.write("none", "\n").string()), "no prompt", "an empty set");
  expect_error(run(bench + file + " --svg " + (folder_ / "no" / "x").string()), "x",
               "no such folder");
}

// A model whose file is well-formed GGUF, cut anywhere: whatever command opens it says so.
TEST_F(CliTest, ATruncatedModelIsOneErrorLineForEveryCommand) {
  const std::string bytes = read_bytes(model_);
  const auto path = folder_.write("cut.gguf", bytes.substr(0, bytes.size() - 100)).string();
  for (const std::string& arguments : std::vector<std::string>{
           "run " + path + " -p x", "inspect " + path, "tokenize " + path + " x",
           "logits " + path + " -p x", "bench " + path, "chat " + path,
           "quantize " + path + " -o " + (folder_ / "out.gguf").string()}) {
    expect_error(run(arguments), "", arguments);
  }
}

TEST_F(CliTest, ChatKeepsAConversationInAPipe) {
  const auto saved = folder_ / "saved.json";
  const std::string input = (folder_.write("input", "hello\n/stats\n/save " + saved.string() +
                                                        "\n/nonsense\n/reset\n/exit\n"))
                                .string();
  const int code =
      std::system((TESSERA_BINARY_DIR "/src/tessera chat " + model_ + " -n 4 --ignore-eos < " +
                   input + " > " + (folder_ / "out").string() + " 2> " + (folder_ / "err").string())
                      .c_str());
  EXPECT_EQ(WEXITSTATUS(code), 0);
  const auto json = nlohmann::json::parse(read_bytes(saved));
  ASSERT_EQ(json["messages"].size(), 2u);
  EXPECT_EQ(json["messages"][0]["content"], "hello");
  EXPECT_EQ(json["messages"][1]["role"], "assistant");
  EXPECT_NE(read_bytes(folder_ / "err").find("/nonsense"), std::string::npos);
}

}  // namespace
}  // namespace tessera
