// Constrained answers, through the engine and the public API.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "engine/session.h"
#include "grammar/structured_output.h"
#include "support/random_drafter.h"
#include "support/run_to_end.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

constexpr const char* kSchema = R"({
  "type": "object",
  "properties": {
    "name": {"type": "string", "maxLength": 12},
    "tags": {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "maxItems": 4},
    "size": {"type": "integer", "minimum": 0, "maximum": 200}
  },
  "required": ["name", "tags", "size"]
})";

class ConstraintTest : public testing::Test {
 protected:
  Request request(std::shared_ptr<const ConstraintSource> source, uint64_t seed,
                  float temperature) const {
    Request r;
    r.prompt = session_.tokenizer->encode("an object:");
    r.max_tokens = 150;
    r.sampling = {.temperature = temperature, .top_k = 0, .top_p = 1, .min_p = 0, .seed = seed};
    r.constraint = std::move(source);
    return r;
  }
  std::string text(const Sequence& sequence) const {
    return session_.tokenizer->decode(std::span(sequence.tokens).subspan(sequence.prompt_size()));
  }

  test::TempFolder folder_;
  Session session_ = Session::load(write_tiny_model({}, folder_.path()).string(), {.threads = 2});
};

// Asked about one token alone, a constraint says what its mask says; and what is forced is the only
// text.
TEST_F(ConstraintTest, OneTokenAndForcedTextAreAsTheMaskSays) {
  const auto source = session_.structured_output->json_schema(kSchema);
  std::mt19937 random(4);
  int forced_tokens = 0;
  for (int answer = 0; answer < 6; ++answer) {
    const auto constraint = source->start();
    for (int step = 0; step < 60; ++step) {
      const auto asked = constraint->copy();  // which knows no mask yet
      const auto forced = asked->forced({});
      std::vector<bool> may_come;
      const auto size = static_cast<Token>(session_.tokenizer->vocabulary_size());
      for (Token token = 0; token < size; ++token) may_come.push_back(asked->may_allow(token, {}));
      std::vector<Token> allowed;
      for (Token token = 0; token < size; ++token) {
        const bool ends = session_.tokenizer->piece(token).empty();
        const bool is_in_mask = is_allowed(constraint->allowed(), token);
        if (ends) continue;
        EXPECT_EQ(may_come[static_cast<size_t>(token)], is_in_mask) << token;
        if (is_in_mask) allowed.push_back(token);
      }
      if (allowed.empty()) break;
      if (!forced.empty()) {
        ++forced_tokens;
        const std::string text = session_.tokenizer->decode(forced);
        for (const Token token : allowed) {
          const std::string piece = session_.tokenizer->piece(token);
          EXPECT_EQ(piece.substr(0, text.size()), text.substr(0, piece.size()));
        }
      }
      constraint->accept(allowed[random() % allowed.size()]);
    }
  }
  EXPECT_GT(forced_tokens, 20);
}

// What a schema leaves no choice about takes few steps, and stays what it was.
TEST_F(ConstraintTest, ForcedTextIsDrafted) {
  const auto source = session_.structured_output->json_schema(
      R"({"type": "object", "properties": {"a rather long name": {"enum": ["one", "two"]},
          "another name, longer": {"const": "the only value that there is"}},
          "required": ["a rather long name", "another name, longer"]})");
  for (const float temperature : {0.0F, 1.0F}) {
    for (const char* decoder : {"forced", "auto"}) {
      const auto engine = session_.make_engine();
      const auto plain = engine->add(request(source, 3, temperature));
      run_to_end(*engine);
      Request asked = request(source, 3, temperature);
      asked.decoder = decoder;
      const auto drafted = engine->add(std::move(asked));
      run_to_end(*engine);
      EXPECT_EQ(drafted->tokens, plain->tokens) << decoder;
      // How much `auto` drafts is decided by the clock.
      if (decoder == std::string_view("forced")) {
        EXPECT_GT(drafted->statistics.accepted, plain->generated() / 3);
      }
    }
  }
}

TEST_F(ConstraintTest, AnswersKeepTheSchema) {
  const auto source = session_.structured_output->json_schema(kSchema);
  const auto engine = session_.make_engine();
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const auto sequence = engine->add(request(source, seed, 1.0f));
    run_to_end(*engine);
    ASSERT_EQ(sequence->finished, FinishReason::kStop) << text(*sequence);
    const auto value = nlohmann::json::parse(text(*sequence));
    EXPECT_LE(value.at("tags").size(), 4u);
    EXPECT_LE(value.at("size").get<int>(), 200);
    EXPECT_TRUE(value.at("name").is_string());
    EXPECT_EQ(value.size(), 3u);
  }
}

TEST_F(ConstraintTest, AnyDrafterGivesTheSameAnswer) {
  const auto grammar = session_.structured_output->grammar(
      "root ::= item{4,8}\nitem ::= \"ab\" [0-9]{1,3} \" the \" [a-f]* \"\\n\"");
  for (const auto& source : {session_.structured_output->json_schema(kSchema), grammar}) {
    for (const float temperature : {0.0f, 1.0f}) {
      for (uint64_t seed = 0; seed < 3; ++seed) {
        const Request plain = request(source, seed, temperature);
        const auto engine = session_.make_engine();
        const auto expected = engine->add(plain);
        run_to_end(*engine);

        Request lookup = plain;
        lookup.decoder = "lookup";
        const auto looked_up = engine->add(lookup);
        const auto drafted = engine->add(plain);
        drafted->drafter =
            std::make_shared<RandomDrafter>(expected->tokens, static_cast<uint32_t>(seed));
        run_to_end(*engine);  // both at once, sharing the grammar's state
        EXPECT_EQ(looked_up->tokens, expected->tokens);
        EXPECT_EQ(drafted->tokens, expected->tokens);
        EXPECT_GT(drafted->statistics.accepted, 0);
      }
    }
  }
}

// Bans and the least number of tokens are functions of the answer so far, as constraints are.
TEST_F(ConstraintTest, AnyDrafterKeepsToBansAndTheLeastTokens) {
  const auto source = session_.structured_output->grammar("root ::= [a-d]*");
  for (uint64_t seed = 0; seed < 4; ++seed) {
    Request plain = request(source, seed, 2.0f);
    plain.min_tokens = 40;
    plain.bans = {{.tokens = session_.tokenizer->encode("a", {.add_special = false})},
                  {.tokens = session_.tokenizer->encode("bc", {.add_special = false})}};
    plain.stop_tokens = session_.tokenizer->encode("d", {.add_special = false});
    const auto engine = session_.make_engine();
    const auto expected = engine->add(plain);
    run_to_end(*engine);
    EXPECT_GE(expected->generated(), 40);
    Request lookup = plain;
    lookup.decoder = "lookup";
    const auto looked_up = engine->add(lookup);
    const auto drafted = engine->add(plain);
    const auto drafter =
        std::make_shared<RandomDrafter>(expected->tokens, static_cast<uint32_t>(seed));
    drafted->drafter = drafter;
    run_to_end(*engine);
    EXPECT_EQ(looked_up->tokens, expected->tokens);
    EXPECT_EQ(drafted->tokens, expected->tokens);
    EXPECT_GT(drafted->statistics.accepted, 0);
  }
}

TEST_F(ConstraintTest, PreemptionLosesNothing) {
  const auto source = session_.structured_output->grammar("root ::= [a-z]{60} [0-9]{30} \"!\"");
  std::vector<std::vector<Token>> alone;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const auto engine = session_.make_engine();
    const auto sequence = engine->add(request(source, seed, 1.0f));
    run_to_end(*engine);
    alone.push_back(sequence->tokens);
  }
  Engine small(*session_.model, {.kv_blocks = 8},
               [this](Token token) { return session_.tokenizer->is_end_of_generation(token); });
  std::vector<std::shared_ptr<Sequence>> sequences;
  for (uint64_t seed = 0; seed < 4; ++seed)
    sequences.push_back(small.add(request(source, seed, 1.0f)));
  run_to_end(small);
  for (size_t i = 0; i < sequences.size(); ++i) EXPECT_EQ(sequences[i]->tokens, alone[i]) << i;
}

TEST_F(ConstraintTest, IgnoringTheEndAddsNoText) {
  Request r = request(session_.structured_output->grammar("root ::= \"yes\" | \"no\""), 1, 1.0f);
  r.ignore_eos = true;
  r.max_tokens = 20;
  const auto engine = session_.make_engine();
  const auto sequence = engine->add(r);
  run_to_end(*engine);
  EXPECT_EQ(sequence->generated(), 20);
  EXPECT_TRUE(text(*sequence) == "yes" || text(*sequence) == "no") << text(*sequence);
}

TEST_F(ConstraintTest, PublicApi) {
  LanguageModel model =
      LanguageModel::load(write_tiny_model({}, folder_.path()).string(), {.threads = 2});
  GenerateOptions options{.max_tokens = 200, .sampling = {.seed = 3}};
  options.grammar = "root ::= \"x\"{3}";
  EXPECT_EQ(model.generate("hello", options).text, "xxx");
  options.json_schema = R"({"const": "one, two"})";
  EXPECT_THROW(model.generate("hello", options), std::runtime_error);  // both
  options.grammar.clear();
  EXPECT_EQ(model.generate("hello", options).text, R"("one, two")");
  options.json_schema = R"({"type": "strin"})";
  EXPECT_THROW(model.generate("hello", options), std::runtime_error);
}

}  // namespace
}  // namespace tessera
