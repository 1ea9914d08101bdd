// Calibration: layer by layer is what the whole model does, and what it leaves does not depend on
// threads.
#include "compress/calibration.h"
#include "compress/calibration_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "compress/importance.h"
#include "compress/quantize.h"
#include "files/open.h"
#include "model/reader.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using testing::HasSubstr;

class CalibrationTest : public testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path tiny(const Format& format, int embedding = 64) const {
    TinyModelSpec spec{.architecture = GetParam(), .format = &format, .embedding = embedding};
    return write_tiny_model(spec, folder_.path());
  }
  std::filesystem::path quantize(const std::filesystem::path& source, QuantizeOptions options) {
    const auto out = folder_ / ("out" + std::to_string(number_++) + ".gguf");
    options.calibration_length = 64;
    quantize_file(source, options, out);
    return out;
  }
  test::TempFolder folder_;
  int number_ = 0;
};

TEST_P(CalibrationTest, LayerByLayerIsWhatTheModelDoes) {
  const auto checkpoint = open_checkpoint(tiny(kF16));
  const Device device = open_cpu(2);
  const auto tokenizer = Tokenizer::make(checkpoint->read_tokenizer());
  const CalibrationText text = cut_text(*tokenizer, test::some_text(60), 64, 3);
  ASSERT_EQ(text.chunks(), 3);

  Model model(checkpoint, device.backend, {.rows = 64});
  const int layers = static_cast<int>(model.config().layers.size());
  std::vector<std::map<TapPoint, std::vector<double>>> squares(layers);
  std::vector<Tap> taps;
  for (int layer = 0; layer < layers; ++layer) {
    for (const TapPoint point : {TapPoint::kQkvInput, TapPoint::kOutputInput,
                                 TapPoint::kGateUpInput, TapPoint::kDownInput}) {
      taps.push_back(
          {.layer = layer, .point = point, .rows = {}, .read = [&, layer, point](Tensor x) {
             const HostRows rows = device.backend->download(x);
             auto& sums = squares[layer][point];
             sums.resize(static_cast<size_t>(rows.columns));
             for (int r = 0; r < rows.rows; ++r) {
               for (int c = 0; c < rows.columns; ++c) {
                 const auto value = static_cast<double>(rows.row(r)[c]);
                 sums[c] += value * value;
               }
             }
           }});
    }
  }
  // What attention averages of the inputs, of every fourth token: parts of a row follow each other.
  std::vector<std::vector<double>> averaged(layers);
  std::vector<int> parts(layers);
  for (int layer = 0; layer < layers; ++layer) {
    const int width = model.config().embedding, head_dim = model.config().layers[layer].head_dim;
    averaged[layer].resize(static_cast<size_t>(width));
    std::vector<int32_t> queries;
    for (int r = 3; r < 64; r += 4) queries.push_back(r);
    taps.push_back({layer, TapPoint::kValueInput, queries, [&, layer, width, head_dim](Tensor x) {
                      const HostRows rows = device.backend->download(x);
                      const int first = parts[layer]++ * head_dim;
                      for (int r = 0; r < rows.rows; ++r) {
                        for (int c = 0; c < rows.columns; ++c) {
                          const int column = first + c % head_dim;
                          if (column >= width) continue;
                          const auto value = static_cast<double>(rows.row(r)[c]);
                          averaged[layer][static_cast<size_t>(column)] += value * value;
                        }
                      }
                    }});
  }
  for (int chunk = 0; chunk < text.chunks(); ++chunk) {
    std::ranges::fill(parts, 0);
    FlatContext context(model, 64, KvFormat::kF16);
    Batch batch;
    batch.add_chain(std::span(text.tokens).subspan(static_cast<size_t>(chunk) * 64, 64), 0,
                    context.block_table);
    model.forward(batch, *context.kv, taps);
  }

  Calibration calibration(checkpoint, device, text);
  for (int layer = 0; layer < layers; ++layer) {
    const auto moments = calibration.observe(layer, InputMoments::Kind::kHessian, {});
    ASSERT_EQ(moments.size(), 5U);
    for (const auto& [place, inputs] : moments) {
      if (place.point == TapPoint::kValueInput) {
        EXPECT_EQ(inputs.rows(), 48U * static_cast<unsigned>(model.config().layers[layer].heads));
        EXPECT_TRUE(std::ranges::equal(inputs.squares(), averaged[layer])) << layer;
        continue;
      }
      EXPECT_EQ(inputs.rows(), 192U);
      EXPECT_TRUE(std::ranges::equal(inputs.squares(), squares[layer][place.point])) << layer;
    }
    calibration.advance(layer, {});
  }
}

TEST_P(CalibrationTest, ThreadsDoNotMatter) {
  const auto source = tiny(kF16, 256);
  for (const char* method : {"rtn", "gptq"}) {
    for (const char* format : {"Q3_K_M", "Q4_0"}) {
      std::vector<std::string> files;
      for (const int threads : {1, 3}) {
        files.push_back(test::read_bytes(quantize(source, {.format = format,
                                                           .threads = threads,
                                                           .method = method,
                                                           .calibration = test::some_text(60)})));
      }
      EXPECT_EQ(files[0], files[1]) << method << " " << format;
    }
  }
}

// Of all kinds of layers: recurrences, mixtures, such as read tokens or another layer's keys.
TEST(LayerByLayerText, IsWhatTheModelMakesOfIt) {
  const test::TempFolder folder;
  for (const char* family : {"qwen35", "qwen3next", "lfm2", "mamba2", "nemotron_h", "granitehybrid",
                             "deepseek2", "gemma4", "gpt-oss"}) {
    const auto checkpoint =
        open_checkpoint(write_tiny_model({.architecture = family, .format = &kF16}, folder.path()));
    const Device device = open_cpu(2);
    const CalibrationText text =
        cut_text(*Tokenizer::make(checkpoint->read_tokenizer()), test::some_text(60), 64, 3);
    Calibration calibration(checkpoint, device, text);
    for (int layer = 0; layer < calibration.layers(); ++layer) {
      calibration.observe(layer, InputMoments::Kind::kHessian, {});
      calibration.advance(layer, {});
    }

    Model model(checkpoint, device.backend, {.rows = 64});
    std::vector<float> expected;
    const Tap tap{.layer = calibration.layers() - 1, .read = [&](Tensor x) {
                    const HostRows rows = device.backend->download(x);
                    for (int r = 0; r < rows.rows; ++r)
                      expected.insert(expected.end(), rows.row(r).begin(), rows.row(r).end());
                  }};
    for (int chunk = 0; chunk < text.chunks(); ++chunk) {
      FlatContext context(model, 64, KvFormat::kF16);
      Batch batch;
      batch.add_chain(std::span(text.tokens).subspan(static_cast<size_t>(chunk) * 64, 64), 0,
                      context.block_table);
      model.forward(batch, *context.kv, std::span(&tap, 1));
    }
    EXPECT_TRUE(std::ranges::equal(calibration.rows(), expected)) << family;
  }
}

// Squared distance of the logits of a text.
double distance(const std::filesystem::path& a, const std::filesystem::path& b,
                std::span<const Token> tokens) {
  const auto x = test::logits_of(a, tokens), y = test::logits_of(b, tokens);
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i)
    sum += std::pow(static_cast<double>(x[i]) - static_cast<double>(y[i]), 2);
  return sum;
}

TEST_P(CalibrationTest, GptqIsNearerThanRoundingToNearest) {
  const auto source = tiny(kF16, 256);
  const auto tokenizer = Tokenizer::make(open_checkpoint(source)->read_tokenizer());
  const std::string text = test::some_text(200);
  const CalibrationText cut = cut_text(*tokenizer, text, 64, 1);
  for (const char* format : {"Q4_0", "Q2_K"}) {
    const auto nearest = quantize(source, {.format = format});
    const auto gptq = quantize(source, {.format = format, .method = "gptq", .calibration = text});
    EXPECT_LT(distance(gptq, source, cut.tokens), 0.8 * distance(nearest, source, cut.tokens))
        << format;
  }
}

TEST_P(CalibrationTest, ImportanceGoesThroughAFile) {
  const auto source = tiny(kF16, 256);
  Imatrix found = collect_importance(source, test::some_text(60), {.chunks = 3, .length = 64});
  const auto checkpoint = open_checkpoint(source);
  size_t matrices = 0;
  for (const StoredTensor& tensor : checkpoint->tensors()) {
    if (!input_of(tensor.place.role)) continue;
    ++matrices;
    EXPECT_EQ(importance_of(found, *checkpoint, tensor).size(), tensor.columns()) << tensor.name;
  }
  EXPECT_EQ(found.entries.size(), matrices);

  const auto file = folder_ / "found.gguf";
  write_imatrix(found, file);
  const auto by_file = quantize(source, {.format = "Q4_K_S", .imatrix = file.string()});
  const auto plain = quantize(source, {.format = "Q4_K_S"});
  EXPECT_NE(test::read_bytes(by_file), test::read_bytes(plain));

  found.entries["blk.40.ffn_up.weight"] = found.entries.begin()->second;
  write_imatrix(found, file);
  EXPECT_THAT(error_of([&] { quantize(source, {.format = "Q4_K_S", .imatrix = file.string()}); }),
              HasSubstr("knows 'blk.40.ffn_up.weight', and the model has"));
  found.entries.erase("blk.40.ffn_up.weight");

  found.entries.begin()->second.sums.resize(8);
  write_imatrix(found, file);
  EXPECT_THAT(error_of([&] { quantize(source, {.format = "Q4_K_S", .imatrix = file.string()}); }),
              HasSubstr("has 8 columns of"));

  const auto entry = found.entries.begin()->second;
  found.entries = {{"blk.0.of_another.weight", entry}};
  write_imatrix(found, file);
  EXPECT_THAT(error_of([&] { quantize(source, {.format = "Q4_K_S", .imatrix = file.string()}); }),
              HasSubstr("knows none of the model's matrices"));
}

INSTANTIATE_TEST_SUITE_P(Architectures, CalibrationTest,
                         testing::Values("llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST_P(CalibrationTest, AWeightThatIsNoNumberIsNamed) {
  const auto source = tiny(kF32);
  const auto checkpoint = open_checkpoint(source);
  const StoredTensor& down = checkpoint->require({TensorRole::kDown, 1});
  std::string bytes = test::read_bytes(source);
  const float nan = std::nanf("");
  std::memcpy(bytes.data() + checkpoint->offset_of(down) + 40, &nan, sizeof(nan));
  const auto bad = folder_.write("bad.gguf", bytes);
  for (const char* method : {"rtn", "gptq", "wanda", "sparsegpt"}) {
    const std::string error = error_of([&] {
      quantize(bad, {.format = "Q8_0", .method = method, .calibration = test::some_text(60)});
    });
    EXPECT_THAT(error, HasSubstr("'" + down.name + "' holds nan in row 0")) << method;
  }
}

// Weights that are numbers, and products that are none.
TEST_P(CalibrationTest, ActivationsThatAreNoNumbersAreNamed) {
  const auto source = tiny(kF32);
  const auto checkpoint = open_checkpoint(source);
  const StoredTensor& norm = checkpoint->require({TensorRole::kFeedForwardNorm, 1});
  std::string bytes = test::read_bytes(source);
  for (uint64_t c = 0; c < norm.columns(); ++c) {
    const float large = 3e38f;
    std::memcpy(bytes.data() + checkpoint->offset_of(norm) + c * sizeof(large), &large,
                sizeof(large));
  }
  const auto bad = folder_.write("bad.gguf", bytes);
  for (const char* method : {"rtn", "gptq", "wanda", "sparsegpt"}) {
    const std::string error = error_of([&] {
      quantize(bad, {.format = "Q8_0", .method = method, .calibration = test::some_text(60)});
    });
    EXPECT_THAT(error, HasSubstr("the activations are not finite")) << method;
  }
  EXPECT_THAT(
      error_of([&] { collect_importance(bad, test::some_text(60), {.chunks = 1, .length = 64}); }),
      HasSubstr("are not finite"));
}

TEST_P(CalibrationTest, BadInputIsOneLine) {
  const auto source = tiny(kF16);
  const auto error = [&](QuantizeOptions options) {
    return error_of([&] { quantize(source, options); });
  };
  EXPECT_THAT(error({.method = "gptq"}), HasSubstr("needs a text to calibrate with"));
  EXPECT_THAT(error({.method = "gptq", .calibration = "short"}), HasSubstr("one chunk needs 64"));
  EXPECT_THAT(error({.method = "best", .calibration = "short"}),
              HasSubstr("unknown method 'best'"));
  EXPECT_THAT(error({.imatrix = "x.gguf", .calibration = "short"}), HasSubstr("give one of them"));
  EXPECT_THAT(error({.imatrix = (folder_ / "none").string()}), HasSubstr("none"));
  EXPECT_THAT(error({.sparsity = "2:4"}), HasSubstr("which rtn does not"));
}

}  // namespace
}  // namespace tessera
