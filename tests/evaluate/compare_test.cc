// Models beside their reference: the same figures as one by one, however little memory there is.
#include "evaluate/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "evaluate/score.h"
#include "evaluate/svg.h"
#include "files/open.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"
#include "support/well_formed.h"

namespace tessera {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CompareTest : public testing::Test {
 protected:
  std::string model(uint64_t seed, int vocabulary = 0) const {
    return write_tiny_model({.seed = seed, .vocabulary = vocabulary}, folder_.path()).string();
  }
  static Session load(const std::string& path) { return Session::load(path, {.threads = 2}); }
  Comparison compare(const std::vector<std::string>& paths, size_t logit_bytes) {
    CompareOptions options{.score = {.context = 24, .chunks = 3, .on_progress = {}},
                           .generate = 0,
                           .logit_bytes = logit_bytes};
    loaded_ = 0;
    return compare_models(
        paths, [&](size_t i) { return ++loaded_, load(paths[i]); }, text(), options);
  }
  static std::string text() {
    std::string text;
    for (int i = 0; i < 80; ++i) text += static_cast<char>('a' + i * 7 % 26);
    return text;
  }

  test::TempFolder folder_;
  int loaded_ = 0;
};

TEST_F(CompareTest, FiguresAreThoseOfEachPairAlone) {
  const std::vector<std::string> paths = {model(1), model(2), model(3)};
  const Comparison all = compare(paths, 1 << 30);
  EXPECT_EQ(loaded_, 3);
  const Comparison in_rounds = compare(paths, 1);  // one chunk each
  EXPECT_EQ(loaded_, 9);
  ASSERT_EQ(all.models.size(), 2U);
  const Session reference = load(paths[0]);
  for (size_t i = 0; i < 2; ++i) {
    const Session session = load(paths[i + 1]);
    const Divergence alone =
        measure_divergence(*session.model, *reference.model, *reference.tokenizer, text(),
                           {.context = 24, .chunks = 3, .on_progress = {}});
    EXPECT_GT(alone.mean_kl, 0);
    for (const Comparison* comparison : {&all, &in_rounds}) {
      const Divergence& together = comparison->models[i].divergence;
      EXPECT_EQ(together.mean_kl, alone.mean_kl);
      EXPECT_EQ(together.median_kl, alone.median_kl);
      EXPECT_EQ(together.high_kl, alone.high_kl);
      EXPECT_EQ(together.same_top, alone.same_top);
      EXPECT_EQ(together.model.value, alone.model.value);
      EXPECT_EQ(comparison->reference.divergence.model.value, alone.reference.value);
    }
  }
  const StoredTensor& embedding = reference.checkpoint->require({TensorRole::kTokenEmbedding});
  EXPECT_GT(all.reference.bytes, embedding.stored_bytes());
  EXPECT_EQ(all.reference.bits_per_weight, 32);
}

TEST_F(CompareTest, AnotherVocabularyIsNamed) {
  const std::vector<std::string> paths = {model(1), model(1, 400)};
  EXPECT_THAT(error_of([&] { compare(paths, 1 << 30); }),
              AllOf(HasSubstr(paths[1]), HasSubstr("a vocabulary of 400, the reference one of")));
}

TEST_F(CompareTest, AModelThatPredictsNoNumbersIsNamed) {
  const std::string good = model(1);
  const auto checkpoint = open_checkpoint(good);
  std::string bytes = test::read_bytes(good);
  const float nan = std::nanf("");
  const StoredTensor& norm = checkpoint->require({TensorRole::kOutputNorm});
  std::memcpy(bytes.data() + checkpoint->offset_of(norm) + 8, &nan, sizeof(nan));
  const std::string bad = folder_.write("bad.gguf", bytes).string();
  for (const std::vector<std::string>& paths : {std::vector{good, good, bad}, {bad, good}}) {
    EXPECT_THAT(error_of([&] { compare(paths, 1 << 30); }),
                HasSubstr("'" + bad + "': the model's predictions are not finite"));
  }
}

ComparedModel made_up(const std::string& name, uint64_t bytes, double kl) {
  ComparedModel model{.name = name, .bytes = bytes, .bits_per_weight = 4, .divergence = {}};
  model.divergence.mean_kl = kl;
  return model;
}

TEST(ParetoFront, HoldsWhatNoOtherBeatsInBoth) {
  EXPECT_THAT(
      pareto_front({made_up("small", 10, 0.3), made_up("worse", 11, 0.3), made_up("near", 20, 0.1),
                    made_up("beaten", 21, 0.2), made_up("twin", 20, 0.1)}),
      ElementsAre(true, false, true, false, true));
  EXPECT_THAT(pareto_front({}), ElementsAre());
}

TEST(ComparePicture, ShowsEveryModel) {
  Comparison comparison{
      .reference = made_up("f16", 100'000'000, 0),
      .models = {made_up("a <b> & \"c\"", 30'000'000, 0.2), made_up("nearer", 40'000'000, 0.01),
                 made_up("itself", 100'000'000, 0)}};
  for (int i = 0; i < 2; ++i) {
    const std::string svg = to_svg(comparison, "f16");
    EXPECT_TRUE(test::is_well_formed(svg));
    EXPECT_EQ(svg.find("nan"), std::string::npos);
    EXPECT_EQ(svg.find("inf"), std::string::npos);
    for (const auto& model : comparison.models)
      EXPECT_THAT(svg, HasSubstr(">" + Svg::escape(model.name) + "<"));
    comparison.models.resize(1);  // whose axes have no length of their own
  }
}

}  // namespace
}  // namespace tessera
