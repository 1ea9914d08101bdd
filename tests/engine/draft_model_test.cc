// Drafts of a smaller model: what is asked for, what it must be, and that it thinks with the noise
// of the texts that it drafts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "engine/draft_loading.h"
#include "engine/session.h"
#include "support/error_of.h"
#include "support/run_to_end.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using testing::HasSubstr;

TEST(DraftReference, IsAModelAndWhatIsCut) {
  EXPECT_EQ(parse_draft("smollm2:135m").model, "smollm2:135m");
  EXPECT_EQ(parse_draft("smollm2:135m").bits, 4);
  EXPECT_EQ(parse_draft("smollm2:135m").head, 32768);
  const DraftReference all = parse_draft("a,b/c.gguf,bits=0,head=0");
  EXPECT_EQ(all.model, "a,b/c.gguf");
  EXPECT_EQ(all.bits, 0);
  EXPECT_EQ(all.head, 0);
  EXPECT_EQ(parse_draft("folder,x=1/m.gguf").model, "folder,x=1/m.gguf");
  EXPECT_EQ(parse_draft("m.gguf,head=100").head, 100);
  EXPECT_FALSE(parse_draft("m.gguf").bridge);
  EXPECT_TRUE(parse_draft("m.gguf,bridge=1,bits=0").bridge);
}

TEST(DraftReference, WhatIsNotUnderstoodIsNamed) {
  for (const auto& [text, what] : {std::pair("m,bits=3", "expected 4"),
                                   {"m,bits=8", "'bits'"},
                                   {"m,bits=", "'bits'"},
                                   {"m,head=-1", "'head'"},
                                   {"m,head=1x", "'head'"},
                                   {"m,bridge=2", "'bridge'"},
                                   {"m,heads=1", "(known: bits, head, bridge)"},
                                   {"", "no name"},
                                   {",bits=4", "no name"}}) {
    EXPECT_THAT(error_of([&, t = text] { parse_draft(t); }), HasSubstr(what)) << text;
  }
}

class DraftModelTest : public testing::Test {
 protected:
  std::string tiny(TinyModelSpec spec = {}) {
    return write_tiny_model(spec, folder_.path()).string();
  }
  Session load(const std::string& draft) {
    return Session::load(tiny(), {.threads = 2, .draft = draft});
  }
  Request request(const Session& session) {
    Request r;
    for (size_t i = 1 + random_() % 60; i > 0; --i)
      r.prompt.push_back(static_cast<Token>(random_() % 300));
    r.max_tokens = 60;
    r.ignore_eos = true;
    r.sampling.seed = random_() % 1000;
    r.sampling.temperature = pick({0.0F, 0.3F, 0.8F, 1.2F});
    r.sampling.top_k = pick({0, 40});
    r.sampling.top_p = pick({1.0F, 0.8F});
    r.sampling.min_p = pick({0.0F, 0.05F});
    r.sampling.repetition_penalty = pick({1.0F, 1.3F});
    r.sampling.frequency_penalty = pick({0.0F, 0.5F});
    if (random_() % 3 == 0) r.sampling.logit_bias[static_cast<Token>(random_() % 300)] = 4;
    if (random_() % 3 == 0) {
      r.constraint = session.structured_output->json_schema(
          R"({"type": "array", "items": {"enum": ["red", "green", "blue"]}, "maxItems": 9})");
    }
    return r;
  }
  // All at once, with memory for few.
  static std::vector<std::shared_ptr<Sequence>> answers(const Session& session,
                                                        const std::vector<Request>& requests,
                                                        const std::string& decoder, int kv_blocks) {
    const auto engine = session.make_engine({.kv_blocks = kv_blocks});
    std::vector<std::shared_ptr<Sequence>> sequences;
    for (Request asked : requests) {
      asked.decoder = decoder;
      sequences.push_back(engine->add(std::move(asked)));
    }
    run_to_end(*engine);
    return sequences;
  }
  template <typename T>
  T pick(std::initializer_list<T> values) {
    return values.begin()[random_() % values.size()];
  }

  test::TempFolder folder_;
  std::mt19937 random_{5};
};

// The same model as its own draft is right always: whatever the temperature, filters, penalties and
// constraint, it draws what the sampler draws.
TEST_F(DraftModelTest, WhoThinksAlikeDrawsAlike) {
  const Session session = load(tiny() + ",bits=0,head=0");
  int drafted = 0;
  for (int i = 0; i < 40; ++i) {
    Request asked = request(session);
    const auto plain_engine = session.make_engine(), engine = session.make_engine();
    const auto plain = plain_engine->add(asked);
    run_to_end(*plain_engine);
    asked.decoder = "draft,nodes=6,least=0.01";
    const auto sequence = engine->add(std::move(asked));
    run_to_end(*engine);
    ASSERT_EQ(sequence->tokens, plain->tokens) << i;
    const auto& depths = sequence->statistics.depths;
    for (size_t depth = 0; depth < depths.size(); ++depth) {
      // The last step may end within what was drafted.
      EXPECT_GE(depths[depth].accepted + 1, depths[depth].drafted) << i << ", depth " << depth;
      drafted += depths[depth].drafted;
    }
    EXPECT_LE(sequence->statistics.steps, 1 + (plain->generated() + 3) / 4) << i;
  }
  EXPECT_GT(drafted, 500);
}

// Texts of several clients at once, memory for few: the draft's own keys and values come and go.
TEST_F(DraftModelTest, ManyTextsShareItsMemory) {
  const Session session = load(tiny({.seed = 2}) + ",head=200");
  std::vector<Request> requests;
  for (int i = 0; i < 12; ++i) requests.push_back(request(session));
  const auto plain = answers(session, requests, "plain", 10);
  for (const char* decoder : {"draft", "auto"}) {
    const auto drafted = answers(session, requests, decoder, 10);
    for (size_t i = 0; i < plain.size(); ++i)
      EXPECT_EQ(drafted[i]->tokens, plain[i]->tokens) << decoder << " " << i;
  }
}

// A format that the draft's heads do not fit is no hindrance: its keys and values have their own.
TEST_F(DraftModelTest, TheFormatOfKeysAndValuesIsTheAnswersOwn) {
  const Session session =
      Session::load(tiny({.head_dim = 32}), {.threads = 2, .kv_format = "q8_0", .draft = tiny()});
  Request asked = request(session);
  asked.decoder = "draft";
  const auto engine = session.make_engine();
  const auto sequence = engine->add(asked);
  run_to_end(*engine);
  EXPECT_GT(sequence->statistics.drafted, 0);
}

// Of other prompts and answers too: longer than the draft's context, or of tokens that it lacks.
TEST_F(DraftModelTest, WhatTheDraftCannotReadIsDecodedPlainly) {
  const Session session = load(tiny({.seed = 2, .context = 64}));
  Request asked = request(session);
  asked.prompt.assign(100, 7);
  asked.decoder = "draft";
  const auto engine = session.make_engine();
  const auto sequence = engine->add(asked);
  run_to_end(*engine);
  EXPECT_EQ(sequence->statistics.drafted, 0);
  EXPECT_EQ(sequence->generated(), asked.max_tokens);
}

TEST_F(DraftModelTest, AnotherVocabularyIsRefusedByItsFirstDifference) {
  const std::string longer = tiny({.vocabulary = 400});
  EXPECT_THAT(error_of([&] { load(longer); }), HasSubstr("another vocabulary: 400 tokens"));
  std::ifstream in(longer, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const size_t at = bytes.find("<|unused_");
  ASSERT_NE(at, std::string::npos);
  bytes[at + 2] = 'U';
  const auto other = folder_.path() / "other.gguf";
  std::ofstream(other, std::ios::binary) << bytes;
  EXPECT_THAT(error_of([&] { Session::load(longer, {.threads = 2, .draft = other.string()}); }),
              HasSubstr("has another vocabulary: its token "));
  EXPECT_THAT(error_of([&] { load(longer); }), HasSubstr("; ',bridge=1' drafts by bytes"));
  EXPECT_THAT(error_of([&] { load((folder_.path() / "none.gguf").string()); }),
              HasSubstr("none.gguf"));
}

TEST_F(DraftModelTest, ABridgeIsThereOnlyWhereItIsNeeded) {
  EXPECT_EQ(load(tiny() + ",bridge=1").draft_bridge, nullptr);
  EXPECT_NE(load(tiny({.merges = false}) + ",bridge=1").draft_bridge, nullptr);
}

// Says what is asked, in tokens of one byte each where the model says "and" and "or": so it is
// right, but where what it has said ends within these.
TEST_F(DraftModelTest, WhoSaysTheSameBytesIsRightMostly) {
  constexpr std::string_view kSaid = " handworst";
  const auto saying = [&](TinyModelSpec spec) {
    const auto tokens = Session::load(tiny(spec)).tokenizer->encode(kSaid, {.add_special = false});
    spec.says.assign(tokens.begin(), tokens.end());
    EXPECT_EQ(tokens.size(), spec.merges ? 7U : kSaid.size());
    return tiny(spec);
  };
  const Session session =
      Session::load(saying({}), {.threads = 2, .draft = saying({.merges = false}) + ",bridge=1"});
  int drafted = 0, accepted = 0;
  for (const float temperature : {0.0F, 0.8F}) {
    for (const char* prompt : {"\n han", "what is the worst", "so far \xF0\x9F\x98\x80 so", "t"}) {
      Request asked;
      asked.prompt = session.tokenizer->encode(prompt);
      asked.max_tokens = 100;
      asked.ignore_eos = true;
      asked.sampling.temperature = temperature;
      asked.sampling.seed = 3;
      const auto plain_engine = session.make_engine(), engine = session.make_engine();
      const auto plain = plain_engine->add(asked);
      run_to_end(*plain_engine);
      asked.decoder = "draft";
      const auto sequence = engine->add(asked);
      run_to_end(*engine);
      EXPECT_EQ(sequence->tokens, plain->tokens);
      EXPECT_THAT(session.tokenizer->decode(plain->tokens), HasSubstr("handworst handworst"));
      EXPECT_LE(sequence->statistics.steps, plain->generated() / 3) << prompt;
      drafted += sequence->statistics.drafted;
      accepted += sequence->statistics.accepted;
    }
  }
  EXPECT_GT(accepted, drafted / 2);
}

// Texts of several clients, of any bytes, with constraints; memory for few.
TEST_F(DraftModelTest, OfAnotherVocabularyItChangesNoText) {
  const Session session = load(tiny({.seed = 2, .merges = false}) + ",bridge=1,head=200");
  std::vector<Request> requests;
  for (int i = 0; i < 12; ++i) requests.push_back(request(session));
  const auto plain = answers(session, requests, "plain", 12);
  for (const char* decoder : {"draft,least=0.01", "auto"}) {
    const auto drafted = answers(session, requests, decoder, 12);
    int nodes = 0;
    for (size_t i = 0; i < plain.size(); ++i) {
      EXPECT_EQ(drafted[i]->tokens, plain[i]->tokens) << decoder << " " << i;
      nodes += drafted[i]->statistics.drafted;
    }
    const bool may_draft_nothing = decoder == std::string_view("auto");
    EXPECT_GT(nodes, may_draft_nothing ? -1 : 100);
  }
}

TEST_F(DraftModelTest, TheDecoderIsRefusedWithoutADraftModel) {
  const Session session = load("");
  const auto engine = session.make_engine();
  Request asked = request(session);
  asked.decoder = "draft";
  EXPECT_THAT(error_of([&] { engine->validate(asked); }),
              HasSubstr("needs a draft model, and none was loaded"));
}

}  // namespace
}  // namespace tessera
