// LoRA adapters on the command line.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "cli/program.h"
#include "files/open.h"
#include "support/tiny_lora.h"

namespace tessera {
namespace {

using nlohmann::json;
using test::Outcome;

class LoraProgramTest : public test::ProgramTest {
 protected:
  std::string adapter(uint64_t seed, const std::string& name) {
    return write_tiny_peft({.seed = seed}, *open_checkpoint(model_), folder_ / name).string();
  }
  json tokens(const std::string& flags) {
    const Outcome outcome =
        run("run " + model_ + " --raw 'some words' -n 24 --temp 0 --json " + flags);
    EXPECT_EQ(outcome.status, 0) << flags << ": " << outcome.err;
    return outcome.status == 0 ? json::parse(outcome.out)["tokens"] : json();
  }
};

TEST_F(LoraProgramTest, RunTakesAdaptersAndScales) {
  const std::string one = adapter(1, "one"), two = adapter(2, "two=b");
  const json plain = tokens(""), first = tokens("--lora " + one);
  EXPECT_NE(plain, first);
  EXPECT_EQ(tokens("--lora " + one + "=1"), first);
  EXPECT_EQ(tokens("--lora " + one + "=1.0"), first);
  EXPECT_EQ(tokens("--lora " + one + "=0"), plain);
  EXPECT_NE(tokens("--lora " + one + "=-1"), first);
  EXPECT_EQ(tokens("--lora " + one + "=0 --lora " + one + "/adapter_model.safetensors"), first);
  const json both = tokens("--lora " + one + " --lora " + two);
  EXPECT_NE(both, first);
  EXPECT_EQ(tokens("--lora " + two + " --lora " + one + "=0"), tokens("--lora " + two + "=1"));
}

TEST_F(LoraProgramTest, QuantizeMergesThem) {
  const std::string one = adapter(1, "one");
  const std::string out = (folder_ / "merged.gguf").string();
  ASSERT_EQ(run("quantize " + model_ + " --lora " + one + " --format F32 -o " + out).status, 0);
  const Outcome kl = run("eval kl --json -c 64 " + out + " " + model_ + " " +
                         folder_.write("text", std::string(400, 'a') + " b c d").string());
  ASSERT_EQ(kl.status, 0) << kl.err;
  EXPECT_GT(json::parse(kl.out)["mean_kl"].get<double>(), 1e-3);
  const Outcome same = run("eval kl --json -c 64 --lora " + one + " " + model_ + " " + out + " " +
                           (folder_ / "text").string());
  ASSERT_EQ(same.status, 0) << same.err;
  // The reference goes without adapters: it is merged.
  EXPECT_LT(json::parse(same.out)["mean_kl"].get<double>(), 1e-6);
}

TEST_F(LoraProgramTest, WhatIsWrongIsOneLine) {
  const std::string ask = "run " + model_ + " --raw x -n 1 --lora ";
  expect_error(run(ask + (folder_ / "nothing").string()), "is missing", "nothing");
  expect_error(run(ask + model_), "no LoRA adapter", "a model");
  expect_error(run(ask + adapter(1, "one") + "=x"), "is missing", "a scale that is none");
}

}  // namespace
}  // namespace tessera
