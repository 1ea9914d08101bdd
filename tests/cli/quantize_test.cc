// tessera quantize: sizes, recipes as files, texts that the model writes, disks that are full.
#include "cli/program.h"
#include "files/open.h"
#include "formats/format.h"

namespace tessera {
namespace {

class QuantizeProgramTest : public test::ProgramTest {
 protected:
  std::string path(const char* name) const { return (folder_ / name).string(); }
  std::string model_ =
      write_tiny_model({.format = &kF16, .layers = 4, .embedding = 256, .context = 1024},
                       folder_.path())
          .string();
};

TEST_F(QuantizeProgramTest, ARecipeThatWasChosenIsUsedAgain) {
  const auto chosen = run("quantize " + model_ + " --target-bpw 4.6 --calibrate none -o " +
                          path("a.gguf") + " --recipe-out " + path("recipe.txt"));
  EXPECT_EQ(chosen.status, 0) << chosen.err;
  EXPECT_NE(chosen.out.find("blk.*.attn_q.weight"), std::string::npos) << chosen.out;
  const std::string recipe = test::read_bytes(folder_ / "recipe.txt");
  EXPECT_NE(recipe.find("blk.3.ffn_down.weight="), std::string::npos) << recipe;
  const auto again =
      run("quantize " + model_ + " --recipe " + path("recipe.txt") + " -o " + path("b.gguf"));
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(test::read_bytes(folder_ / "a.gguf"), test::read_bytes(folder_ / "b.gguf"));

  const auto named = run("quantize " + model_ + " --tensor-type-file " + path("recipe.txt") +
                         " --tensor-type 'blk.(0|3).attn_v=q8_0' -o " + path("c.gguf"));
  EXPECT_EQ(named.status, 0) << named.err;
  EXPECT_EQ(open_checkpoint(folder_ / "c.gguf")->require({TensorRole::kValue, 3}).format, &kQ8_0);
}

TEST_F(QuantizeProgramTest, ATextThatIsNeededAndNotGivenIsWritten) {
  const std::string command = "quantize " + model_ + " --format Q4_0 --method gptq";
  const auto said = run(command + " --calibrate-chunks 2 -o " + path("a.gguf"));
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_NE(said.err.find("the model writes 2 of 512 tokens itself"), std::string::npos)
      << said.err;
  const auto asked =
      run(command + " --calibrate self --calibrate-chunks 2 -t 1 -o " + path("b.gguf"));
  EXPECT_EQ(asked.status, 0);
  EXPECT_EQ(asked.err, "");
  EXPECT_EQ(test::read_bytes(folder_ / "a.gguf"), test::read_bytes(folder_ / "b.gguf"));
}

TEST_F(QuantizeProgramTest, WhatWouldHaveNoEffectIsRefused) {
  const std::string out = " -o " + path("x.gguf");
  expect_error(run("quantize " + model_ + " --calibrate-chunks 3" + out), "there is none",
               "chunks");
  expect_error(run("quantize " + model_ + " --work " + path("work") + out), "runs with a text",
               "work");
  expect_error(run("quantize " + model_ + " --format Q4_0 --calibrate " +
                   folder_.write("empty.txt", "").string() + out),
               "empty.txt' is empty", "an empty text");
  expect_error(run("quantize " + model_ + " --damping 0.1" + out), "for gptq and sparsegpt",
               "damping");
  expect_error(run("quantize " + model_ + " --group-aware" + out), "is for gptq", "group-aware");
  expect_error(run("quantize " + model_ + " --target-size 10B --calibrate none" + out),
               "10 bytes cannot be had", "the size that was asked for");
  expect_error(run("quantize " + model_ + " --target-size 9pounds" + out), "'9pounds' is no size",
               "size");
  expect_error(run("quantize " + model_ + " --target-bpw 4 --calibrate none -o " + path("folder/")),
               "a target size is for GGUF files", "folder");
  expect_error(run("quantize " + model_ + " --format gptq-4bit-128g --recipe-out " + path("r.txt") +
                   " -o " + path("folder/")),
               "--recipe-out is for GGUF files", "recipe-out");
  EXPECT_EQ(run("quantize " + model_ + " --target-bpw 4 --format Q4_0" + out).status, 2);
  EXPECT_EQ(run("quantize " + model_ + " --target-bpw 4 --target-size 1MB" + out).status, 2);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "x.gguf"));
}

// Before the work begins: a run may take hours.
TEST_F(QuantizeProgramTest, PathsThatCannotBeWrittenAreRefusedAtOnce) {
  const std::string text = folder_.write("text.txt", std::string(4000, 'a') + " b c").string();
  const std::string nowhere = path("none/x.gguf"), out = path("x.gguf"), good = " -o " + out;
  for (const std::string& command :
       {"quantize " + model_ + " --format Q4_0 --method gptq -o " + nowhere,
        "quantize " + model_ + " --target-bpw 5 --recipe-out " + nowhere + good,
        "prune " + model_ + " --layers 25% --calibrate " + text + " -o " + nowhere,
        "imatrix " + model_ + " -f " + text + " -o " + nowhere}) {
    const auto result = run(command);
    expect_error(result, "cannot write '" + nowhere + "'", command);
    EXPECT_EQ(result.err.find("writes"), std::string::npos) << "a text was begun: " << result.err;
    EXPECT_FALSE(std::filesystem::exists(out));
  }
}

TEST_F(QuantizeProgramTest, WhatIsReadIsNotWrittenOver) {
  const std::string words = std::string(4000, 'a') + " b c";
  const std::string text = folder_.write("text.txt", words).string();
  const std::string link = path("link.gguf");
  std::filesystem::create_symlink(model_, link);
  const std::string before = test::read_bytes(model_);
  for (const std::string& command :
       {"imatrix " + model_ + " -f " + text + " -o " + model_,
        "imatrix " + model_ + " -f " + text + " -o " + link,
        "imatrix " + model_ + " -f " + text + " -o " + text,
        "eval compare " + model_ + " " + model_ + " --text " + text + " --svg " + model_,
        "eval compare " + model_ + " " + model_ + " --text " + text + " --svg " + text,
        "prune " + model_ + " --layers 25% --force --calibrate " + text + " -o " + link,
        "quantize " + model_ + " --force -o " + link,
        "quantize " + model_ + " --recipe-out " + link + " -o " + path("x.gguf")}) {
    expect_error(run(command), "is the source itself", command);
    EXPECT_EQ(test::read_bytes(model_), before) << command;
    EXPECT_EQ(test::read_bytes(text), words) << command;
  }
  expect_error(run("quantize " + model_ + " --recipe-out " + path("x") + " -o " + path("x")),
               "both", "one path for two files");
  EXPECT_FALSE(std::filesystem::exists(path("x.gguf")));
}

// Of a full disk the shell's limit on files is as good as any: writing fails on the way.
TEST_F(QuantizeProgramTest, AFullDiskIsOneLineAndLeavesNothingHalfWritten) {
  const std::string text = folder_.write("text.txt", std::string(4000, 'a') + " b c").string();
  const std::string command = "quantize " + model_ + " --format Q4_0 --calibrate " + text +
                              " --calibrate-chunks 1 --work " + path("work") + " -o " +
                              path("x.gguf");
  const auto full = run(command, "ulimit -f 64; trap '' XFSZ; ");
  expect_error(full, "cannot write", "a full disk");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "x.gguf"));
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "work"))
    EXPECT_EQ(entry.path().string().find("partial"), std::string::npos) << entry.path();
  const auto rest = run(command);  // there is room again
  EXPECT_EQ(rest.status, 0) << rest.err;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "work"));
}

}  // namespace
}  // namespace tessera
