// What int8 activations cost: weights in Q8_0 against the same values in F32, where activations are
// not rounded. Both are ours, so what is compared is the rounding alone; that a family computes
// what it should is said by oracle_test.cc and huggingface_folder_test.cc.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "files/open.h"
#include "support/gguf_in_f32.h"
#include "support/model_runner.h"
#include "support/oracle.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

struct RoundedFamily {
  std::string architecture;
  int layers = 0;   // 0: the family's usual ones
  int experts = 0;  // which all work on every row: rounding may choose another one where two scores
                    // nearly tie
};

void PrintTo(const RoundedFamily& family, std::ostream* out) {
  *out << family.architecture;
}

class Int8Activations : public testing::TestWithParam<RoundedFamily> {
 protected:
  static constexpr int kLength = 64;

  test::TempFolder folder_;
};

TEST_P(Int8Activations, MoveThePredictionsByLittle) {
  if (on_reference_backend()) GTEST_SKIP() << "its activations are not rounded";
  const TinyModelSpec spec{.architecture = GetParam().architecture,
                           .format = &kQ8_0,
                           .layers = GetParam().layers,
                           .embedding = 128,
                           .experts = GetParam().experts,
                           .experts_used = GetParam().experts};
  const auto path = write_tiny_model(spec, folder_.path());
  const std::vector<Token> tokens = random_tokens(kLength, 320, 11);
  const auto in_f32 = folder_ / "f32.gguf";
  test::write_in_f32(*open_checkpoint(path), in_f32);
  ModelRunner rounded(path), exact(in_f32);
  const auto expected = exact.run_text(tokens), found = rounded.run_text(tokens);
  double mean = 0, worst = 0;
  for (size_t t = 0; t < tokens.size(); ++t) {
    const std::vector<double> truth(expected[t].begin(), expected[t].end());
    const double kl = kl_divergence(truth, found[t]);
    EXPECT_GE(kl, -1e-12);  // or no number
    mean += kl / kLength;
    worst = std::max(worst, kl);
  }
  RecordProperty("mean_kl", fmt::format("{:.2e}", mean));
  RecordProperty("worst_kl", fmt::format("{:.2e}", worst));
  EXPECT_GT(mean, 0);  // they are rounded
  // Each layer adds its share: about 2e-4 in Llama, up to 4e-4 where gates multiply what is rounded
  // already (Qwen 3.5, LFM2). Models of two layers are to stay within 1e-3, as in oracle_test.cc.
  const int layers = with_defaults(spec).layers;
  EXPECT_LE(mean, 5e-4 * layers);
  EXPECT_LE(worst, 5e-3 * layers);
}

INSTANTIATE_TEST_SUITE_P(Families, Int8Activations,
                         testing::ValuesIn(std::vector<RoundedFamily>{
                             {"llama"},
                             {"qwen35", 4},  // of which the last attends
                             {"qwen35moe", 4, 4},
                             {"qwen3next", 4, 4},
                             {"lfm2", 4},
                             {"lfm2moe", 4, 4},
                             {"granitehybrid", 4},
                             {"nemotron_h"},
                             {"nemotron_h_moe", 0, 4},
                             {"mamba2"},
                             {"gemma4"},
                             {"gemma4", 0, 4},
                             {"olmoe", 0, 4},
                             {"minimax-m2", 0, 4},
                             {"glm4moe", 0, 4},
                             {"deepseek2", 0, 4},
                             {"gpt-oss", 0, 4}}),
                         [](const auto& instance) {
                           std::string name = instance.param.architecture +
                                              (instance.param.experts > 0 ? "_experts" : "");
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace tessera
