// The account of where time goes: it must not change what it watches, and must count what a step
// cannot do without.
#include "evaluate/profile.h"

#include <gtest/gtest.h>

#include <numeric>

#include "devices/device.h"
#include "files/gguf/reader.h"
#include "model/flat_context.h"
#include "support/model_runner.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

// A tiny model on a profiling backend, and a context of 64 tokens.
struct Profiled {
  explicit Profiled(const std::filesystem::path& path)
      : backend(std::make_shared<ProfilingBackend>(open_cpu(2).backend)),
        model(std::make_shared<const GgufFile>(GgufFile::open(path)), backend,
              {.context = 0, .rows = 64, .wanted_rows = 64}),
        context(model, 64, KvFormat::kF16) {}

  std::vector<LogitRow> run(Batch& batch) {
    backend->reset();
    const HostRows logits = backend->download(model.forward(batch, *context.kv));
    std::vector<LogitRow> rows;
    for (int r = 0; r < logits.rows; ++r)
      rows.emplace_back(logits.row(r).begin(), logits.row(r).end());
    return rows;
  }

  // The sum of all operations of that name.
  OperationProfile total(std::string_view name) const {
    OperationProfile sum;
    for (const OperationProfile& operation : backend->operations()) {
      if (operation.name != name) continue;
      sum.calls += operation.calls;
      sum.seconds += operation.seconds;
      sum.work += operation.work;
    }
    return sum;
  }

  std::shared_ptr<ProfilingBackend> backend;
  Model model;
  FlatContext context;
};

TinyModelSpec spec_of(const Format& format) {
  return with_defaults({.format = &format,
                        .layers = 2,
                        .embedding = 64,
                        .heads = 4,
                        .kv_heads = 2,
                        .head_dim = 16,
                        .feed_forward = 128,
                        .vocabulary = 320});
}
// rows x columns of the matrices of one layer: qkv, attention output, gate and up, down.
constexpr double kLayerWeights = (64 + 2 * 32) * 64 + 64 * 64 + 2 * 128 * 64 + 64 * 128;
constexpr double kOutputWeights = 320 * 64;
constexpr int kLayers = 2, kHeads = 4, kHeadDim = 16;
constexpr double kTokenBytes = 2 * 2 * 16 * 2;  // key and value, 2 heads, f16

TEST(Profile, LogitsAreBitEqualWithAndWithoutIt) {
  const test::TempFolder folder;
  for (const char* architecture : {"llama", "gemma3"}) {
    const auto path =
        write_tiny_model({.architecture = architecture, .format = &kQ8_0}, folder.path());
    ModelRunner plain(path);
    const auto tokens = random_tokens(40, 300, 1);
    Profiled profiled(path);
    Batch batch;
    batch.add_chain(tokens, 0, profiled.context.block_table);
    batch.wanted.resize(tokens.size());
    std::iota(batch.wanted.begin(), batch.wanted.end(), 0);
    EXPECT_EQ(profiled.run(batch), plain.run_text(tokens)) << architecture;
  }
}

TEST(Profile, CountsWeightsOnceAndMultiplyAddsForEachRow) {
  const test::TempFolder folder;
  // In compute layouts 16 rows take 64 bytes a column in F32; in Q8_0 16, and 2 each 32 for scales.
  struct {
    const Format& format;
    double bytes_per_weight;
  } cases[] = {{kF32, 4.0}, {kQ8_0, 1.0 + 2.0 / 32}};
  for (const auto& [format, bytes_per_weight] : cases) {
    Profiled profiled(write_tiny_model(spec_of(format), folder.path()));
    Batch batch;
    batch.add_chain(random_tokens(3, 300, 1), 0, profiled.context.block_table);
    batch.wanted = {2};
    profiled.run(batch);

    const OperationProfile linear = profiled.total("linear");
    const double macs = 3 * kLayers * kLayerWeights + kOutputWeights;
    EXPECT_EQ(linear.calls, 4 * kLayers + 1);
    EXPECT_EQ(linear.work.dot_macs, &format == &kQ8_0 ? macs : 0) << format.name;
    EXPECT_EQ(linear.work.float_macs, &format == &kQ8_0 ? 0 : macs) << format.name;
    EXPECT_EQ(linear.work.memory_bytes,
              bytes_per_weight * (kLayers * kLayerWeights + kOutputWeights))
        << format.name;
    EXPECT_EQ(profiled.total("norm").calls, 2 * kLayers + 1);
    EXPECT_EQ(profiled.total("norm").work.memory_bytes, 0);
    EXPECT_GT(linear.seconds, 0);
  }
}

TEST(Profile, CountsTheKeysOfAChunkOnce) {
  const test::TempFolder folder;
  Profiled profiled(write_tiny_model(spec_of(kF32), folder.path()));
  Batch batch;
  batch.add_chain(random_tokens(3, 300, 1), 0, profiled.context.block_table);
  profiled.run(batch);
  const Work work = profiled.total("attention").work;
  EXPECT_EQ(work.memory_bytes, kLayers * 3 * kTokenBytes);
  EXPECT_EQ(work.float_macs, kLayers * 2.0 * (1 + 2 + 3) * kHeads * kHeadDim);
}

TEST(Profile, CountsTheKeysOfATreeOnce) {
  const test::TempFolder folder;
  Profiled profiled(write_tiny_model(spec_of(kF32), folder.path()));
  Batch prefix;
  prefix.add_chain(random_tokens(5, 300, 1), 0, profiled.context.block_table);
  profiled.run(prefix);
  Batch batch;  // one child, which has two
  batch.add_tree(random_tokens(3, 300, 2), std::vector<int32_t>{-1, 0, 0}, 5,
                 profiled.context.block_table);
  profiled.run(batch);
  const Work work = profiled.total("attention").work;
  EXPECT_EQ(work.memory_bytes, kLayers * (5 + 3) * kTokenBytes);
  EXPECT_EQ(work.float_macs, kLayers * 2.0 * (6 + 7 + 7) * kHeads * kHeadDim);
}

TEST(Profile, CountsWhatRowsDoToRecurrentStates) {
  const test::TempFolder folder;
  Profiled profiled(write_tiny_model({.architecture = "qwen35", .format = &kF32}, folder.path()));
  double values = 0;
  int layers = 0;
  for (const KvLayer& layer : profiled.context.kv->shape.layers) {
    values += 1.0 * layer.state.heads * layer.state.key_dim * layer.state.value_dim;
    if (layer.state.heads > 0) ++layers;
  }
  ASSERT_GT(layers, 0);
  Batch batch;
  batch.add_chain(random_tokens(3, 300, 1), 0, profiled.context.block_table);
  profiled.run(batch);
  // Decay, the value under the key, the one that is written, the query: each over the whole state.
  EXPECT_EQ(profiled.total("recurrence").work.float_macs, 3 * 4 * values);
  EXPECT_EQ(profiled.total("recurrence").calls, layers);
  EXPECT_EQ(profiled.total("convolution").calls, layers);
}

TEST(Profile, NamesMatricesByFormatAndShape) {
  const test::TempFolder folder;
  Profiled profiled(write_tiny_model(spec_of(kQ8_0), folder.path()));
  Batch batch;
  batch.add_chain(random_tokens(1, 300, 1), 0, profiled.context.block_table);
  profiled.run(batch);
  std::vector<std::string> labels;
  for (const OperationProfile& operation : profiled.backend->operations()) {
    if (operation.name == "linear") labels.push_back(operation.label());
  }
  EXPECT_EQ(labels, (std::vector<std::string>{"qkv Q8_0 128x64", "attention output Q8_0 64x64",
                                              "gate, up Q8_0 256x64", "down Q8_0 64x128"}));
}

TEST(Profile, AMatrixOfPartsNamesEachFormatOnce) {
  const std::vector<std::byte> bytes(4 * 32 * 16);
  const auto part = [&](const Format& format, int rows) {
    const size_t size = format.row_bytes(32) * static_cast<size_t>(rows);
    return Backend::WeightPart{&format, std::span(bytes).first(size), rows};
  };
  const auto backend = open_cpu(1).backend;
  const std::vector parts{part(kQ8_0, 4), part(kBF16, 3), part(kQ8_0, 2), part(kF16, 1)};
  const auto matrix = backend->load_matrix(parts, 32);
  EXPECT_EQ(matrix->formats, "Q8_0+BF16+F16");
  EXPECT_EQ(matrix->dot_rows, 6);
  EXPECT_EQ(matrix->rows, 10);
}

}  // namespace
}  // namespace tessera
