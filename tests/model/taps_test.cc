// Activations can be read while a forward pass runs, and reading them changes nothing.
#include "model/taps.h"

#include <gtest/gtest.h>

#include "support/model_runner.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using Rows = std::vector<LogitRow>;

class TapsTest : public ::testing::Test {
 protected:
  static constexpr int kTokens = 40;

  TapsTest()
      : runner_(write_tiny_model({.layers = 3}, folder_.path())),
        table_(runner_.new_table(kTokens)) {
    tokens_ = random_tokens(kTokens, runner_.model().config().vocabulary, 5);
  }

  Rows rows_of(Tensor x) { return copy_rows(runner_.model().backend().download(x)); }
  // One pass over all tokens, with the logits of all rows.
  Rows run(std::span<const Tap> taps) {
    Batch batch;
    batch.add_chain(tokens_, 0, table_);
    for (int r = 0; r < kTokens; ++r) batch.wanted.push_back(r);
    return rows_of(runner_.model().forward(batch, runner_.kv(), taps));
  }
  Rows read(int layer, TapPoint point, std::vector<int32_t> rows = {}) {
    Rows result;
    const Tap tap{.layer = layer, .point = point, .rows = std::move(rows), .read = [&](Tensor x) {
                    EXPECT_TRUE(result.empty()) << "called twice";
                    result = rows_of(x);
                  }};
    run(std::span(&tap, 1));
    return result;
  }

  test::TempFolder folder_;
  ModelRunner runner_;
  std::vector<int32_t> table_;
  std::vector<Token> tokens_;
};

TEST_F(TapsTest, ChangeNoLogit) {
  const Rows expected = run({});
  std::vector<Tap> taps;
  int calls = 0;
  for (int layer = 0; layer < 3; ++layer) {
    for (const TapPoint point :
         {TapPoint::kLayerInput, TapPoint::kLayerOutput, TapPoint::kQkvInput,
          TapPoint::kOutputInput, TapPoint::kGateUpInput, TapPoint::kDownInput}) {
      taps.push_back({layer, point, {}, [&](Tensor) { ++calls; }});
      taps.push_back({layer, point, {3, 1}, [&](Tensor) { ++calls; }});
    }
  }
  EXPECT_EQ(run(taps), expected);
  EXPECT_EQ(calls, 2 * 3 * 6);
}

TEST_F(TapsTest, ReadTheChosenRowsInTheirOrder) {
  const Rows all = read(1, TapPoint::kDownInput);
  ASSERT_EQ(all.size(), kTokens);
  EXPECT_EQ(all[0].size(), 160U);  // the feed-forward length
  EXPECT_EQ(read(1, TapPoint::kDownInput, {31, 0, 7}), (Rows{all[31], all[0], all[7]}));
}

TEST_F(TapsTest, ALayersOutputIsTheNextOnesInput) {
  EXPECT_EQ(read(0, TapPoint::kLayerOutput), read(1, TapPoint::kLayerInput));
  EXPECT_EQ(read(1, TapPoint::kLayerOutput), read(2, TapPoint::kLayerInput));
  EXPECT_NE(read(0, TapPoint::kLayerInput), read(0, TapPoint::kLayerOutput));
}

// What the matrices of a layer multiply has passed its norm: a mean square of about 1.
TEST_F(TapsTest, MatrixInputsAreNormalized) {
  for (const TapPoint point : {TapPoint::kQkvInput, TapPoint::kGateUpInput}) {
    for (const LogitRow& row : read(2, point)) {
      double squares = 0;
      for (const float value : row) squares += value * value;
      EXPECT_NEAR(squares / static_cast<double>(row.size()), 1, 0.5);
    }
  }
}

TEST_F(TapsTest, ALayerThatIsNotThereIsNeverRead) {
  EXPECT_TRUE(read(3, TapPoint::kLayerOutput).empty());
}

}  // namespace
}  // namespace tessera
