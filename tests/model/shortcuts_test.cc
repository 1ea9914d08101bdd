// What a draft model saves when it is loaded.
#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "files/gguf/reader.h"
#include "files/open.h"
#include "formats/int8_groups.h"
#include "model/draft_format.h"
#include "model/model.h"
#include "paths.h"
#include "support/model_runner.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

class ShortcutsTest : public testing::Test {
 protected:
  // The logits of a text behind each of its tokens.
  std::vector<LogitRow> run(Model::Shortcuts shortcuts, int threads = 2) {
    Model model(file_, make_test_backend(threads), {.context = 0, .rows = 16, .wanted_rows = 16},
                {}, shortcuts);
    const auto kv = model.make_kv(1, KvFormat::kF16);
    const std::vector<int32_t> table = {0};
    Batch batch;
    batch.add_chain(random_tokens(16, 300, 3), 0, table);
    for (int row = 0; row < batch.rows(); ++row) batch.wanted.push_back(row);
    return copy_rows(model.backend().download(model.forward(batch, *kv)));
  }

  test::TempFolder folder_;
  // Large enough for several threads to have something to do.
  std::shared_ptr<const GgufFile> file_ =
      std::make_shared<const GgufFile>(GgufFile::open(write_tiny_model(
          {.embedding = 256, .feed_forward = 1024, .vocabulary = 1000}, folder_.path())));
};

TEST_F(ShortcutsTest, MatricesAreCutAlikeByAnyNumberOfThreads) {
  for (const auto format : {draft_format, int8_groups}) {
    const auto expected = run({.format = format});
    EXPECT_NE(expected, run({})) << "they are cut";
    for (const int threads : {1, 5})
      EXPECT_EQ(run({.format = format}, threads), expected) << threads;
  }
}

TEST_F(ShortcutsTest, TheFirstLogitsAreThoseOfTheWholeModel) {
  const auto whole = run({});
  const auto first = run({.logits = 70});
  ASSERT_EQ(first.size(), whole.size());
  for (size_t row = 0; row < whole.size(); ++row)
    EXPECT_EQ(first[row], LogitRow(whole[row].begin(), whole[row].begin() + 70)) << row;
}

// However many bytes its codes take while it is loaded. (The output matrix, of floats, is cut.)
TEST_F(ShortcutsTest, WhatHasAsFewBitsIsNotCut) {
  for (const char* name : {"nf4", "awq"}) {
    const std::shared_ptr<const Checkpoint> folder =
        open_checkpoint(std::filesystem::path(TESSERA_TEST_DATA) / "quantized" / name);
    const auto hidden = [&](Model::Shortcuts shortcuts) {
      Model model(folder, make_test_backend(2), {.context = 0, .rows = 16, .wanted_rows = 1}, {},
                  shortcuts);
      const auto kv = model.make_kv(1, KvFormat::kF16);
      const std::vector<int32_t> table = {0};
      Batch batch;
      batch.add_chain(random_tokens(16, 60, 3), 0, table);
      std::vector<LogitRow> read;
      const Tap tap = {
          .layer = static_cast<int>(model.config().layers.size()) - 1,
          .point = TapPoint::kLayerOutput,
          .rows = {},
          .read = [&](Tensor rows) { read = copy_rows(model.backend().download(rows)); }};
      model.forward(batch, *kv, std::span(&tap, 1));
      return read;
    };
    const auto expected = hidden({});
    ASSERT_FALSE(expected.empty());
    EXPECT_EQ(hidden({.format = int8_groups}), expected) << name;
    if (name == std::string_view("nf4")) {  // AWQ's has a zero point more than Q4_0
      EXPECT_EQ(hidden({.format = draft_format}), expected) << name;
    }
  }
}

}  // namespace
}  // namespace tessera
