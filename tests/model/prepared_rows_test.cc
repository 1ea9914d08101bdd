// What the rows of a step are is handed to the backend once a step, not once a layer: a device
// would upload it then.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "backend/forwarding_backend.h"
#include "files/open.h"
#include "model/flat_context.h"
#include "support/model_runner.h"
#include "support/reference_backend.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

// Counts what comes from the host, and the operations that were given the rows prepared last.
class CountingBackend final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;

  int uploads = 0, prepared = 0, uses = 0;

  void upload(std::span<const float> host, Tensor into) override {
    ++uploads;
    ForwardingBackend::upload(host, into);
  }
  std::unique_ptr<PreparedRows> prepare(const RowMetadata& rows) override {
    ++prepared;
    auto result = ForwardingBackend::prepare(rows);
    last_ = result.get();
    return result;
  }
  void rope(const RopeTable& rope, int head_dim, PreparedRows& rows, Tensor x) override {
    use(rows);
    ForwardingBackend::rope(rope, head_dim, rows, x);
  }
  void write_kv(KvStore& kv, int layer, PreparedRows& rows, Tensor k, Tensor v) override {
    use(rows);
    ForwardingBackend::write_kv(kv, layer, rows, k, v);
  }
  void attend(const KvStore& kv, const AttentionParameters& parameters, Tensor q,
              PreparedRows& rows, Tensor out) override {
    use(rows);
    ForwardingBackend::attend(kv, parameters, q, rows, out);
  }

 private:
  void use(const PreparedRows& rows) {
    EXPECT_EQ(&rows, last_);
    ++uses;
  }

  const PreparedRows* last_ = nullptr;
};

TEST(PreparedRows, ArePreparedOnceAStepForAllLayers) {
  const test::TempFolder folder;
  for (const char* architecture : {"llama", "gemma3"}) {
    const auto path = write_tiny_model({.architecture = architecture}, folder.path());
    const auto backend = std::make_shared<CountingBackend>(make_test_backend(2));
    Model model(open_checkpoint(path), backend, {.context = 0, .rows = 64, .wanted_rows = 64});
    const int layers = static_cast<int>(model.config().layers.size());
    const FlatContext context(model, 64, KvFormat::kF16);
    int steps = 0, position = 0;
    for (const int rows : {20, 1, 7}) {
      Batch batch;
      batch.add_chain(random_tokens(rows, 300, 1), position, context.block_table);
      position += rows;
      batch.wanted = {rows - 1};
      model.forward(batch, *context.kv);
      ++steps;
      EXPECT_EQ(backend->prepared, steps) << architecture;
      EXPECT_EQ(backend->uploads, steps) << architecture;  // embeddings
      // Of queries and keys, keys and values written, attention.
      EXPECT_EQ(backend->uses, steps * layers * 4) << architecture;
    }
  }
}

// A device reads the host's arrays when they are prepared, not when an operation runs.
TEST(PreparedRows, AreTakenInWhenTheyArePrepared) {
  const auto backend = make_reference_backend();
  constexpr int kRows = 3, kDim = 4;
  const auto rope = backend->load_rope({.dimensions = kDim, .frequency = {1.0f, 0.1f}});
  const Tensor k = backend->allocate(kRows, kDim), v = backend->allocate(kRows, kDim),
               out = backend->allocate(kRows, kDim);
  const auto run = [&](bool overwrite) {
    std::vector<float> values(kRows * kDim);
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 5) - 2;
    backend->upload(values, k);
    backend->upload(values, v);
    const auto kv = backend->allocate_kv({{{1, kDim}}, 2, KvFormat::kF16});
    std::vector<int32_t> table{1}, positions{0, 1, 2}, slots{32, 33, 34}, tail{34};
    std::vector<RowContext> contexts{{table, 0, 1, {}}, {table, 1, 2, {}}, {table, 2, 2, tail}};
    const auto rows = backend->prepare({positions, slots, contexts});
    if (overwrite) {
      for (auto* numbers : {&table, &positions, &slots, &tail}) std::ranges::fill(*numbers, 0);
      std::ranges::fill(contexts, RowContext{table, 0, 1, {}});
    }
    backend->rope(*rope, kDim, *rows, k);
    backend->write_kv(*kv, 0, *rows, k, v);
    backend->attend(*kv, {.layer = 0, .heads = 1}, k, *rows, out);
    return copy_rows(backend->download(out));
  };
  const auto expected = run(false);
  EXPECT_NE(expected[0], expected[2]);
  EXPECT_EQ(run(true), expected);
}

}  // namespace
}  // namespace tessera
