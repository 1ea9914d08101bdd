// Structured pruning: what adds nothing goes, and nothing changes; what adds little is made good.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>

#include "compress/calibration.h"
#include "compress/calibration_support.h"
#include "compress/output_cut.h"
#include "compress/prune.h"
#include "files/gguf/reader.h"
#include "files/gguf/writer.h"
#include "files/open.h"
#include "model/config.h"
#include "support/error_of.h"
#include "support/model_runner.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using testing::HasSubstr;

// A copy of the model with some weights zero.
using IsZero = std::function<bool(const StoredTensor&, size_t row, size_t column)>;
std::filesystem::path with_zeros(const std::filesystem::path& model, const IsZero& is_zero) {
  const GgufFile file = GgufFile::open(model);
  GgufWriter writer(file.metadata());
  for (const StoredTensor& tensor : file.tensors())
    writer.declare(tensor.name, *tensor.format, tensor.shape);
  const std::filesystem::path out = model.string() + ".zeros";
  writer.write(out, [&](size_t i) {
    const StoredTensor& tensor = file.tensors()[i];
    std::vector<float> values(tensor.elements());
    tensor.decode(0, tensor.rows(), values);
    for (size_t at = 0; at < values.size(); ++at) {
      if (is_zero(tensor, at / tensor.columns(), at % tensor.columns())) values[at] = 0;
    }
    std::vector<std::byte> bytes(tensor.bytes.size());
    tensor.format->encode(values, bytes.data(), {});
    return bytes;
  });
  return out;
}

class Structured : public testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path tiny(TinyModelSpec spec = {}) const {
    spec.architecture = GetParam();
    if (spec.heads == 0) spec.heads = 8, spec.kv_heads = 4, spec.head_dim = 16;
    spec.feed_forward = 256;
    return write_tiny_model(spec, folder_.path());
  }
  std::filesystem::path prune(const std::filesystem::path& source, PruneOptions options) {
    const auto out = folder_ / ("out" + std::to_string(number_++) + ".gguf");
    options.calibration = test::some_text();
    options.calibration_length = 64;
    prune_file(source, options, out);
    return out;
  }
  static std::vector<LogitRow> logits(const std::filesystem::path& model) {
    ModelRunner runner(model);
    return runner.run_text(random_tokens(40, 300, 5));
  }
  // Mean square of the differences on the text that was calibrated with.
  static double distance(const std::filesystem::path& a, const std::filesystem::path& b) {
    const auto tokenizer = Tokenizer::make(open_checkpoint(a)->read_tokenizer());
    const CalibrationText text = cut_text(*tokenizer, test::some_text(), 64, 1);
    const auto x = ModelRunner(a).run_text(text.tokens), y = ModelRunner(b).run_text(text.tokens);
    double sum = 0;
    for (size_t r = 0; r < x.size(); ++r)
      for (size_t c = 0; c < x[r].size(); ++c) sum += std::pow(x[r][c] - y[r][c], 2);
    return sum / static_cast<double>(x.size() * x[0].size());
  }
  test::TempFolder folder_;
  int number_ = 0;
};

TEST_P(Structured, LayersThatAddNothingGo) {
  for (const bool uneven : {false, true}) {
    const auto source =
        with_zeros(tiny({.layers = 5, .uneven_layers = uneven}),
                   [](const StoredTensor& tensor, size_t, size_t) {
                     const bool is_output = tensor.place.role == TensorRole::kAttentionOutput ||
                                            tensor.place.role == TensorRole::kDown;
                     return is_output && (tensor.place.layer == 1 || tensor.place.layer == 3);
                   });
    const auto cut = prune(source, {.layers = 0.4});
    EXPECT_EQ(read_config(*open_checkpoint(cut)).layers.size(), 3U);
    EXPECT_EQ(logits(cut), logits(source));
  }
}

TEST_P(Structured, NeuronsThatAddNothingGo) {
  const auto source = with_zeros(tiny(), [](const StoredTensor& tensor, size_t, size_t column) {
    return tensor.place.role == TensorRole::kDown && (column + tensor.place.layer) % 4 == 1;
  });
  const auto cut = prune(source, {.neurons = 0.25, .repair = false});
  EXPECT_EQ(read_config(*open_checkpoint(cut)).layers[0].feed_forward, 192);
  EXPECT_EQ(logits(cut), logits(source));
}

TEST_P(Structured, HeadsThatAddNothingGo) {
  // Of 4 groups of 2: a whole one; of 2 groups of 4: one of each.
  struct Case {
    int kv_heads;
    bool (*is_zero)(int layer, size_t head);
    int left, kv_left;
  };
  const Case cases[] = {
      {4, [](int layer, size_t head) { return head / 2 == static_cast<size_t>(layer + 1) % 4; }, 6,
       3},
      {2, [](int layer, size_t head) { return head % 4 == static_cast<size_t>(layer) % 4; }, 6, 2}};
  for (const Case& c : cases) {
    const auto source = with_zeros(tiny({.heads = 8, .kv_heads = c.kv_heads, .head_dim = 16}),
                                   [&](const StoredTensor& tensor, size_t, size_t column) {
                                     return tensor.place.role == TensorRole::kAttentionOutput &&
                                            c.is_zero(tensor.place.layer, column / 16);
                                   });
    const auto cut = prune(source, {.heads = 0.25, .repair = false});
    const LayerConfig layer = read_config(*open_checkpoint(cut)).layers[1];
    EXPECT_EQ(layer.heads, c.left);
    EXPECT_EQ(layer.kv_heads, c.kv_left);
    EXPECT_EQ(layer.head_dim, 16);
    EXPECT_EQ(logits(cut), logits(source));
  }
}

TEST_P(Structured, WhatStaysMakesGoodForWhatGoes) {
  const auto source = tiny({.format = &kF16});
  for (const PruneOptions& options :
       {PruneOptions{.neurons = 0.25}, {.heads = 0.25}, {.heads = 0.25, .neurons = 0.25}}) {
    PruneOptions bare = options;
    bare.repair = false;
    EXPECT_LT(distance(prune(source, options), source),
              0.9 * distance(prune(source, bare), source));
  }
}

TEST_P(Structured, AllAtOnceAndThreadsDoNotMatter) {
  const auto source = tiny({.format = &kF16, .layers = 4});
  std::vector<std::string> files;
  for (const int threads : {1, 3}) {
    files.push_back(test::read_bytes(
        prune(source, {.layers = 0.25, .heads = 0.25, .neurons = 0.25, .threads = threads})));
  }
  EXPECT_EQ(files[0], files[1]);
}

INSTANTIATE_TEST_SUITE_P(Families, Structured, testing::Values("llama", "qwen2", "qwen3", "phi3"));

class RecurrentLayers : public testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path prune(const std::filesystem::path& source, PruneOptions options) {
    const auto out = folder_ / "out.gguf";
    options.calibration = test::some_text();
    options.calibration_length = 64;
    prune_file(source, options, out);
    return out;
  }
  test::TempFolder folder_;
};

// One that is a recurrence, and one that attends or is of another kind.
TEST_P(RecurrentLayers, ThatAddNothingGo) {
  const auto adds_up = [](TensorRole role) {
    using enum TensorRole;
    return role == kAttentionOutput || role == kRecurrentOutput || role == kConvolutionOutput ||
           role == kDown || role == kExpertsDown || role == kSharedExpertDown;
  };
  const auto source =
      with_zeros(write_tiny_model({.architecture = GetParam(), .layers = 8}, folder_.path()),
                 [&](const StoredTensor& tensor, size_t, size_t) {
                   const int layer = tensor.place.layer;
                   return adds_up(tensor.place.role) && (layer == 2 || layer == 3);
                 });
  const auto cut = prune(source, {.layers = 0.25});
  EXPECT_EQ(read_config(*open_checkpoint(cut)).layers.size(), 6U);
  const auto tokens = random_tokens(40, 300, 5);
  EXPECT_EQ(ModelRunner(cut).run_text(tokens), ModelRunner(source).run_text(tokens));
}

INSTANTIATE_TEST_SUITE_P(Families, RecurrentLayers,
                         testing::Values("qwen35", "qwen35moe", "qwen3next", "lfm2",
                                         "granitehybrid", "nemotron_h", "mamba2"));

TEST(RecurrentNeurons, ThatAddNothingGo) {
  const test::TempFolder folder;
  for (const char* family : {"qwen35", "lfm2"}) {
    const auto source = with_zeros(
        write_tiny_model({.architecture = family, .feed_forward = 256}, folder.path()),
        [](const StoredTensor& tensor, size_t, size_t column) {
          return tensor.place.role == TensorRole::kDown && (column + tensor.place.layer) % 4 == 1;
        });
    PruneOptions options{.neurons = 0.25, .repair = false};
    options.calibration = test::some_text();
    options.calibration_length = 64;
    const auto cut = folder / (std::string(family) + "-cut.gguf");
    prune_file(source, options, cut);
    EXPECT_EQ(read_config(*open_checkpoint(cut)).layers[0].feed_forward, 192);
    const auto tokens = random_tokens(40, 300, 5);
    EXPECT_EQ(ModelRunner(cut).run_text(tokens), ModelRunner(source).run_text(tokens)) << family;
  }
}

TEST(StructuredErrors, AreSaidBeforeAnythingIsWritten) {
  const test::TempFolder folder;
  const auto out = folder / "out.gguf";
  const auto error = [&](const TinyModelSpec& spec, PruneOptions options) {
    const auto source = write_tiny_model(spec, folder.path());
    options.calibration = options.calibration.empty() ? test::some_text() : options.calibration;
    options.calibration_length = 64;
    const std::string said = error_of([&] { prune_file(source, options, out); });
    EXPECT_FALSE(std::filesystem::exists(out)) << said;
    return said;
  };
  EXPECT_THAT(error({}, {}), HasSubstr("nothing to cut"));
  EXPECT_THAT(error({}, {.layers = 1.5}), HasSubstr("cannot be cut"));
  EXPECT_THAT(error({.layers = 2}, {.layers = 0.1}), HasSubstr("is none"));
  EXPECT_THAT(error({.heads = 2, .kv_heads = 1}, {.heads = 0.1}),
              HasSubstr("cannot be cut by 10 %"));
  EXPECT_THAT(error({.architecture = "gemma3"}, {.layers = 0.3}), HasSubstr("take turns"));
  EXPECT_THAT(error({.uneven_layers = true}, {.neurons = 0.25}), HasSubstr("different shapes"));
  EXPECT_THAT(error({.architecture = "qwen3moe"}, {.neurons = 0.25}), HasSubstr("of experts"));
  EXPECT_THAT(error({.architecture = "deepseek2"}, {.heads = 0.25}), HasSubstr("latent attention"));
  EXPECT_THAT(error({.architecture = "qwen35"}, {.heads = 0.25}), HasSubstr("recurrent layers"));
  EXPECT_THAT(error({.architecture = "mamba2"}, {.neurons = 0.25}), HasSubstr("of 0 neurons"));
  EXPECT_THAT(error({.architecture = "mpt"}, {.heads = 0.25}), HasSubstr("slopes"));
  EXPECT_THAT(error({.architecture = "glm4moe", .layers = 4}, {.layers = 0.25}),
              HasSubstr("of another kind"));
  EXPECT_THAT(error({}, {.neurons = 0.25, .calibration = "short"}), HasSubstr("tokens"));
}

TEST(StructuredErrors, NoLayersAreChosenByWhatIsNoNumber) {
  const test::TempFolder folder;
  const auto source = write_tiny_model({.layers = 4}, folder.path()), out = folder / "out.gguf";
  const auto checkpoint = open_checkpoint(source);
  const StoredTensor& down = checkpoint->require({TensorRole::kDown, 1});
  std::string bytes = test::read_bytes(source);
  const float nan = std::nanf("");
  std::memcpy(bytes.data() + checkpoint->offset_of(down) + 40, &nan, sizeof(nan));
  PruneOptions options{.layers = 0.25};
  options.calibration = test::some_text();
  options.calibration_length = 64;
  EXPECT_THAT(error_of([&] { prune_file(folder.write("bad.gguf", bytes), options, out); }),
              HasSubstr("layer 1 makes of the text is not finite"));
  EXPECT_FALSE(std::filesystem::exists(out));
}

// Against the normal equations in double.
TEST(OutputCut, IsTheLeastSquaresOfWhatStays) {
  constexpr int kRows = 3, kColumns = 8, kSamples = 400;
  std::mt19937 rng(1);
  std::normal_distribution<float> normal;
  std::vector<float> x(kSamples * kColumns), weights(kRows * kColumns);
  for (int s = 0; s < kSamples; ++s) {
    const float common = normal(rng);
    for (int c = 0; c < kColumns; ++c) x[s * kColumns + c] = normal(rng) + common;
  }
  for (float& w : weights) w = normal(rng);
  ThreadPool pool(2);
  InputMoments moments(kColumns, InputMoments::Kind::kHessian);
  moments.add(HostRows(x.data(), kSamples, kColumns, kColumns), pool);
  StoredTensor tensor;
  tensor.format = &kF32;
  tensor.shape = {kColumns, kRows};
  tensor.bytes = std::as_bytes(std::span(weights));
  const std::vector<size_t> kept = {0, 2, 3, 6, 7};
  const auto out = OutputCut(tensor, pool).keep(kept, &moments);

  // (H_ss + damping) y = H_s. w + damping w_s, by Gauss-Seidel.
  double h[kColumns][kColumns] = {}, mean = 0;
  for (int s = 0; s < kSamples; ++s)
    for (int r = 0; r < kColumns; ++r)
      for (int c = 0; c < kColumns; ++c)
        h[r][c] += static_cast<double>(x[s * kColumns + r]) * x[s * kColumns + c];
  for (int c = 0; c < kColumns; ++c) mean += h[c][c] / kColumns;
  const double damping = 1.6 * kColumns / kSamples * mean;
  for (int r = 0; r < kRows; ++r) {
    std::vector<double> y(kept.size());
    for (int round = 0; round < 500; ++round) {
      for (size_t i = 0; i < kept.size(); ++i) {
        double sum = damping * weights[r * kColumns + kept[i]];
        for (int c = 0; c < kColumns; ++c) sum += h[kept[i]][c] * weights[r * kColumns + c];
        for (size_t j = 0; j < kept.size(); ++j) sum -= j == i ? 0 : h[kept[i]][kept[j]] * y[j];
        y[i] = sum / (h[kept[i]][kept[i]] + damping);
      }
    }
    for (size_t i = 0; i < kept.size(); ++i)
      EXPECT_NEAR(out[r * kept.size() + i], y[i], 1e-4) << r << " " << i;
  }
}

}  // namespace
}  // namespace tessera
