// What drafters learn of other answers, and of what a request says about its own.
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "files/gguf/reader.h"
#include "support/model_runner.h"
#include "support/run_to_end.h"
#include "support/sampled_request.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

class LookupInEngineTest : public testing::Test {
 protected:
  static constexpr int kAnswer = 60;

  // Prompts of one token: nothing in them to be found again.
  static Request request(const std::string& salt = {}) {
    Request r = sampled_request({17}, kAnswer, 4);
    r.decoder = "lookup";
    r.cache_salt = salt;
    return r;
  }
  std::shared_ptr<Sequence> answer(Request r) {
    const auto sequence = engine_.add(std::move(r));
    run_to_end(engine_);
    return sequence;
  }
  std::vector<Token> plain_answer() {
    Request r = request("plain");
    r.decoder = "plain";
    return answer(r)->tokens;
  }

  test::TempFolder folder_;
  Model model_{
      std::make_shared<const GgufFile>(GgufFile::open(write_tiny_model({}, folder_.path()))),
      make_test_backend(2),
      {.context = 0, .rows = 64, .wanted_rows = 32}};
  Engine engine_{model_, {.kv_blocks = 64}, [](Token) { return false; }};
};

TEST_F(LookupInEngineTest, AnAnswerGivenBeforeTakesFewerStepsToTheSameSaltOnly) {
  const auto first = answer(request("a")), again = answer(request("a")),
             other = answer(request("b"));
  EXPECT_EQ(first->tokens, plain_answer());
  EXPECT_EQ(again->tokens, first->tokens);
  EXPECT_EQ(other->tokens, first->tokens);
  EXPECT_LT(again->statistics.steps, first->statistics.steps / 2);
  EXPECT_EQ(other->statistics.steps, first->statistics.steps) << "tenants are apart";
}

TEST_F(LookupInEngineTest, APredictedAnswerTakesFewStepsAWrongPredictionChangesNothing) {
  const std::vector<Token> text = plain_answer();
  Request right = request("right"), edited = request("edited"), wrong = request("wrong");
  right.prediction.assign(text.begin() + 1, text.end());
  edited.prediction = right.prediction;
  edited.prediction[20] = 299;
  edited.prediction.insert(edited.prediction.begin() + 40, {298, 297});
  for (Request* request : {&right, &edited, &wrong}) request->decoder = "prediction";
  wrong.prediction.assign(kAnswer, 296);
  const auto all = {answer(right), answer(edited), answer(wrong)};
  for (const auto& sequence : all) EXPECT_EQ(sequence->tokens, text);
  EXPECT_LT(all.begin()[0]->statistics.steps, kAnswer / 6);
  EXPECT_LT(all.begin()[1]->statistics.steps, kAnswer / 3);
}

}  // namespace
}  // namespace tessera
