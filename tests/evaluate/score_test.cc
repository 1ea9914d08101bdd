// How well a model predicts a text does not depend on what else the machine's backend holds.
#include "evaluate/score.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "files/open.h"
#include "support/reference_backend.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

class ScoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<Model> load(uint64_t seed, std::shared_ptr<Backend> backend) {
    return std::make_unique<Model>(
        open_checkpoint(write_tiny_model({.seed = seed}, folder_.path())), std::move(backend),
        Model::Limits{.context = 0, .rows = 32, .wanted_rows = 5});
  }
  Divergence divergence(Model& model, Model& reference) {
    std::string text;
    for (int i = 0; i < 60; ++i) text += static_cast<char>('a' + i * 7 % 26);
    const auto checkpoint = open_checkpoint(write_tiny_model({}, folder_.path()));
    const auto tokenizer = Tokenizer::make(checkpoint->read_tokenizer());
    return measure_divergence(model, reference, *tokenizer, text,
                              {.context = 24, .chunks = 2, .on_progress = {}});
  }

  test::TempFolder folder_;
};

// Where what was downloaded is gone with the next operation, as on any device.
TEST_F(ScoreTest, TwoModelsMayShareABackend) {
  const std::shared_ptr<Backend> shared = make_reference_backend();
  const auto model = load(1, shared), reference = load(2, shared);
  const auto model_alone = load(1, make_reference_backend());
  const auto reference_alone = load(2, make_reference_backend());
  const Divergence expected = divergence(*model_alone, *reference_alone);
  EXPECT_GT(expected.mean_kl, 0);
  const Divergence together = divergence(*model, *reference);
  EXPECT_EQ(together.mean_kl, expected.mean_kl);
  EXPECT_EQ(together.max_kl, expected.max_kl);
  EXPECT_EQ(together.same_top, expected.same_top);
  EXPECT_EQ(together.model.value, expected.model.value);
  EXPECT_EQ(together.reference.value, expected.reference.value);
}

TEST_F(ScoreTest, AModelDoesNotDivergeFromItself) {
  const auto model = load(1, make_reference_backend());
  const Divergence divergence_from_itself = divergence(*model, *model);
  EXPECT_EQ(divergence_from_itself.mean_kl, 0);
  EXPECT_EQ(divergence_from_itself.same_top, 1);
}

}  // namespace
}  // namespace tessera
