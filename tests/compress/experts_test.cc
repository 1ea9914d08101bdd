// Experts are calibrated with the rows that chose them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "compress/calibration.h"
#include "compress/calibration_support.h"
#include "compress/importance.h"
#include "compress/layer_encoders.h"
#include "compress/methods/method.h"
#include "compress/quantize.h"
#include "files/open.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using testing::HasSubstr;
using testing::Not;

class ExpertsTest : public testing::Test {
 protected:
  std::filesystem::path tiny(const std::string& family, int experts = 0) const {
    return write_tiny_model({.architecture = family,
                             .format = &kF16,
                             .embedding = 64,
                             .feed_forward = 64,
                             .experts = experts},
                            folder_.path());
  }
  static CalibrationText text_for(const Checkpoint& checkpoint, int chunks) {
    return cut_text(*Tokenizer::make(checkpoint.read_tokenizer()), test::some_text(400), 64,
                    chunks);
  }
  // With all but the experts as they are.
  std::filesystem::path quantize(const std::filesystem::path& source, QuantizeOptions options) {
    const auto out = folder_ / ("out" + std::to_string(number_++) + ".gguf");
    options.calibration_length = 64;
    options.format = "F16";
    options.tensor_formats = {{"_exps", options.tensor_formats.empty() ? &kQ4_0 : &kQ8_0}};
    if (options.method != "rtn" && options.method != "magnitude")
      options.calibration = test::some_text(400);
    quantize_file(source, options, out);
    return out;
  }
  static double distance(const std::filesystem::path& a, const std::filesystem::path& b,
                         std::span<const Token> tokens) {
    const auto x = test::logits_of(a, tokens), y = test::logits_of(b, tokens);
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i)
      sum += std::pow(static_cast<double>(x[i]) - static_cast<double>(y[i]), 2);
    return sum;
  }

  test::TempFolder folder_;
  int number_ = 0;
};

// Rows and sums of squares of all experts of a layer, one after the other.
struct ExpertSums {
  uint64_t rows = 0, down_rows = 0;
  std::vector<double> squares;
};

ExpertSums sums_of(const InputsOfLayer& inputs) {
  ExpertSums sums;
  for (const auto& [place, moments] : inputs) {
    if (place.point == TapPoint::kExpertDownInput) sums.down_rows += moments.rows();
    if (place.point != TapPoint::kExpertInput) continue;
    sums.rows += moments.rows();
    sums.squares.resize(moments.squares().size());
    for (size_t c = 0; c < sums.squares.size(); ++c) sums.squares[c] += moments.squares()[c];
  }
  return sums;
}

TEST_F(ExpertsTest, SeeTheRowsThatChoseThem) {
  for (const char* family : {"qwen3moe", "qwen2moe", "gpt-oss", "glm4moe", "olmoe"}) {
    const auto checkpoint = open_checkpoint(tiny(family));
    Calibration calibration(checkpoint, open_cpu(2), text_for(*checkpoint, 3));
    const ExpertsConfig& experts = calibration.config().layers.back().experts;
    const auto used = static_cast<uint64_t>(experts.used);
    for (int layer = 0; layer < calibration.layers(); ++layer) {
      const auto inputs = calibration.observe(layer, InputMoments::Kind::kHessian, {});
      if (calibration.config().layers[static_cast<size_t>(layer)].experts.count > 0) {
        const ExpertSums sums = sums_of(inputs);
        EXPECT_EQ(sums.rows, 192 * used) << family;
        EXPECT_EQ(sums.down_rows, 192 * used) << family;
        EXPECT_EQ(inputs.contains(TapPoint::kSharedInput), experts.shared > 0) << family;
        // All of them read what the shared expert reads, each row as often as it chose.
        const auto shared = inputs.find(TapPoint::kSharedInput);
        for (size_t c = 0; shared != inputs.end() && c < sums.squares.size(); ++c) {
          const double expected = static_cast<double>(used) * shared->second.squares()[c];
          EXPECT_NEAR(sums.squares[c], expected, 1e-9 * expected) << family;
        }
      }
      calibration.advance(layer, {});
    }
  }
}

TEST_F(ExpertsTest, GptqIsNearerThanRoundingToNearest) {
  for (const char* family : {"qwen3moe", "gpt-oss", "gemma4"}) {
    const auto source = tiny(family, 4);
    const CalibrationText text = text_for(*open_checkpoint(source), 1);
    const auto nearest = quantize(source, {}), gptq = quantize(source, {.method = "gptq"});
    EXPECT_LT(distance(gptq, source, text.tokens), 0.8 * distance(nearest, source, text.tokens))
        << family;
  }
}

TEST_F(ExpertsTest, ThreadsDoNotMatter) {
  const auto source = tiny("qwen3moe");
  EXPECT_EQ(test::read_bytes(quantize(source, {.threads = 1, .method = "gptq"})),
            test::read_bytes(quantize(source, {.threads = 3, .method = "gptq"})));
}

// A stranger's file may hold experts where its configuration knows of none.
TEST_F(ExpertsTest, OfALayerWithoutAnyAreRefused) {
  ThreadPool pool(1);
  InputsOfLayer none;
  const MethodOptions options;
  LayerEncoders encoders(kGptq, options, none, 100, 0, pool);
  for (const TensorRole role : {TensorRole::kExpertsUp, TensorRole::kSharedExpertUp}) {
    StoredTensor stray;
    stray.name = "stray";
    stray.place = {role, 0};
    EXPECT_THAT(error_of([&] { encoders.of(stray, kQ4_0); }),
                HasSubstr("tensor 'stray' belongs to no part"));
  }
}

TEST_F(ExpertsTest, ThatHardlyAnyRowChoosesAreRounded) {
  constexpr int kExperts = 64;
  const auto source = tiny("qwen3moe", kExperts);
  const auto checkpoint = open_checkpoint(source);
  Calibration calibration(checkpoint, open_cpu(2), text_for(*checkpoint, 1));
  const auto inputs = calibration.observe(0, InputMoments::Kind::kDiagonal, {});
  int idle = 0;
  while (inputs.contains({TapPoint::kExpertInput, idle})) ++idle;
  ASSERT_LT(idle, kExperts);
  const auto busy = inputs.lower_bound({TapPoint::kExpertInput, 0})->first.expert;

  const auto nearest = open_checkpoint(quantize(source, {}));
  testing::internal::CaptureStdout();  // where spdlog writes unless it is told otherwise
  const auto gptq = open_checkpoint(quantize(source, {.method = "gptq", .calibration_chunks = 1}));
  EXPECT_THAT(testing::internal::GetCapturedStdout(),
              HasSubstr("experts were chosen by fewer than 0.5 % of the text's tokens"));
  for (const TensorRole role :
       {TensorRole::kExpertsGate, TensorRole::kExpertsUp, TensorRole::kExpertsDown}) {
    const auto bytes_of = [&](const Checkpoint& model, int expert) {
      const auto all = model.require({role, 0}).bytes;
      const size_t size = all.size() / kExperts;
      const auto one = all.subspan(static_cast<size_t>(expert) * size, size);
      return std::vector<std::byte>(one.begin(), one.end());
    };
    EXPECT_EQ(bytes_of(*gptq, idle), bytes_of(*nearest, idle));
    EXPECT_NE(bytes_of(*gptq, busy), bytes_of(*nearest, busy));
  }
}

TEST_F(ExpertsTest, ArePruned) {
  const auto source = tiny("qwen3moe");
  for (const char* method : {"magnitude", "wanda", "sparsegpt"}) {
    const auto pruned = open_checkpoint(
        quantize(source, {.tensor_formats = {{"", &kQ8_0}}, .method = method, .sparsity = "2:4"}));
    const StoredTensor& up = pruned->require({TensorRole::kExpertsUp, 1});
    std::vector<float> values(up.elements());
    up.decode(0, up.rows(), values);
    for (size_t i = 0; i < values.size(); i += 4)
      ASSERT_GE(std::count(values.begin() + static_cast<ptrdiff_t>(i),
                           values.begin() + static_cast<ptrdiff_t>(i) + 4, 0.0f),
                2)
          << method;
  }
}

TEST_F(ExpertsTest, HaveAnImportanceEach) {
  const auto source = tiny("qwen2moe");
  const Imatrix imatrix =
      collect_importance(source, test::some_text(400), {.chunks = 3, .length = 64});
  const auto checkpoint = open_checkpoint(source);
  for (const TensorRole role : {TensorRole::kExpertsGate, TensorRole::kExpertsDown}) {
    const StoredTensor& tensor = checkpoint->require({role, 1});
    const auto found = importances_of(imatrix, *checkpoint, tensor);
    ASSERT_EQ(found.size(), 6U);
    const Imatrix::Entry& entry = imatrix.entries.at(tensor.name);
    EXPECT_EQ(entry.sums.size(), 6 * tensor.columns());
    float rows = 0;
    for (const float count : entry.counts) rows += count;
    EXPECT_EQ(rows, 192 * 2);
  }
  EXPECT_EQ(
      importances_of(imatrix, *checkpoint, checkpoint->require({TensorRole::kSharedExpertUp, 1}))
          .size(),
      1U);
}

}  // namespace
}  // namespace tessera
