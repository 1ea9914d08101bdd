// Activations can be read while a forward pass runs, and reading them changes nothing.
#include "model/taps.h"

#include <gtest/gtest.h>

#include "files/open.h"
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

// The values' matrix may as well multiply what attention has averaged.
TEST_F(TapsTest, ValueInputsAreWhatEachHeadAverages) {
  const Config& config = runner_.model().config();
  const int head_dim = config.layers[1].head_dim, heads = config.layers[1].heads,
            groups = heads / config.layers[1].kv_heads, width = config.embedding;
  const std::vector<int32_t> chosen = {3, 39};
  std::vector<Rows> parts;
  const Tap tap{.layer = 1, .point = TapPoint::kValueInput, .rows = chosen, .read = [&](Tensor x) {
                  parts.push_back(rows_of(x));
                }};
  run(std::span(&tap, 1));
  ASSERT_EQ(parts.size(), static_cast<size_t>((width + head_dim - 1) / head_dim));
  const Rows attended = read(1, TapPoint::kOutputInput, chosen);

  const auto checkpoint = open_checkpoint(write_tiny_model({.layers = 3}, folder_.path()));
  const StoredTensor& value = checkpoint->require({TensorRole::kValue, 1});
  std::vector<float> weights(value.elements());
  value.decode(0, value.rows(), weights);
  for (size_t r = 0; r < chosen.size(); ++r) {
    for (int head = 0; head < heads; ++head) {
      for (int d = 0; d < head_dim; ++d) {
        const float* w =
            weights.data() + static_cast<size_t>((head / groups * head_dim + d) * width);
        double sum = 0;
        for (int c = 0; c < width; ++c)
          sum += static_cast<double>(w[c]) *
                 static_cast<double>(parts[c / head_dim][r][head * head_dim + c % head_dim]);
        ASSERT_NEAR(attended[r][head * head_dim + d], sum, 2e-3) << head << " " << d;
      }
    }
  }
}

TEST_F(TapsTest, ALayerThatIsNotThereIsNeverRead) {
  EXPECT_TRUE(read(3, TapPoint::kLayerOutput).empty());
}

}  // namespace
}  // namespace tessera
