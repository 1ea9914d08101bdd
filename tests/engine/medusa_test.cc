// Medusa heads in the engine: heads that know the answer are believed, whatever they say the text
// stays, and what cannot be is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "engine/session.h"
#include "support/error_of.h"
#include "support/medusa_heads.h"
#include "support/run_to_end.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using testing::HasSubstr;

class MedusaTest : public testing::Test {
 protected:
  Session load(const std::string& heads = {}) {
    return Session::load(model_, {.threads = 2, .medusa = heads});
  }
  Request request(float temperature) {
    Request r;
    r.prompt = {40, 50, 60};
    r.max_tokens = 48;
    r.ignore_eos = true;
    r.sampling.temperature = temperature;
    r.sampling.seed = 7;
    return r;
  }
  static std::shared_ptr<Sequence> answer(const Session& session, Request asked) {
    const auto engine = session.make_engine();
    auto sequence = engine->add(std::move(asked));
    run_to_end(*engine);
    return sequence;
  }

  test::TempFolder folder_;
  std::string model_ = write_tiny_model({}, folder_.path()).string();
};

// Which hidden state tells of which token, and with which noise: off by one, and nothing is right.
TEST_F(MedusaTest, HeadsThatKnowTheAnswerAreBelieved) {
  constexpr int kHeads = 3;
  for (const float temperature : {0.0F, 0.8F, 1.2F}) {
    const Session plain = load();
    const auto expected = answer(plain, request(temperature));
    const auto path =
        folder_.write("oracle.safetensors",
                      test::oracle_medusa_heads(kHeads, *plain.model,
                                                std::array{test::KnownText{expected->tokens, 2}}));
    const Session session = load(path.string());
    Request asked = request(temperature);
    asked.decoder = "medusa,nodes=20,least=0.01";
    const auto got = answer(session, asked);
    EXPECT_EQ(got->tokens, expected->tokens);
    ASSERT_EQ(got->statistics.depths.size(), size_t{kHeads}) << temperature;
    const auto& first = got->statistics.depths[0];
    EXPECT_GE(first.accepted + 1, first.drafted) << temperature;  // the last may be cut short
    EXPECT_LE(got->statistics.steps, 3 + 47 / (kHeads + 1) * 3 / 2) << temperature;
  }
}

TEST_F(MedusaTest, AutoTakesThemAndChangesNothing) {
  const auto path = folder_.write("random.safetensors", test::random_medusa_heads(4, 64, 320, 3));
  const auto tokens = answer(load(), request(0.8F))->tokens;
  Request asked = request(0.8F);
  for (const char* decoder : {"auto", "medusa", "medusa,nodes=60,least=0.01"}) {
    asked.decoder = decoder;
    EXPECT_EQ(answer(load(path.string()), asked)->tokens, tokens) << decoder;
  }
}

// Typical acceptance is what it says: other tokens, and more of them a step.
TEST_F(MedusaTest, TypicalAcceptanceTakesMoreAndSaysOtherwise) {
  const auto path = folder_.write("random.safetensors", test::random_medusa_heads(4, 64, 320, 3));
  const Session session = load(path.string());
  Request asked = request(1.2F);
  asked.decoder = "medusa,nodes=60,least=0.01";
  const auto exact = answer(session, asked);
  asked.decoder = "medusa,nodes=60,least=0.01,typical=0.0001,delta=0.01";
  const auto typical = answer(session, asked);
  EXPECT_GT(typical->statistics.accepted, exact->statistics.accepted);
  EXPECT_NE(typical->tokens, exact->tokens);
  EXPECT_EQ(typical->generated(), 48);
  asked.sampling.temperature = 0;
  const auto greedy = answer(session, asked);
  asked.decoder = "plain";
  EXPECT_EQ(greedy->tokens, answer(session, asked)->tokens) << "at temperature 0 it is exact";
}

TEST_F(MedusaTest, NoHeadsNoDecoder) {
  Request asked = request(0);
  asked.decoder = "medusa";
  EXPECT_THAT(error_of([&] { answer(load(), asked); }),
              HasSubstr("'medusa' needs Medusa heads, and none were loaded"));
  EXPECT_THAT(error_of([&] { load(model_); }), HasSubstr("holds no Medusa heads"));
}

}  // namespace
}  // namespace tessera
