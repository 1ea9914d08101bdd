// A server of a model that embeds texts.
#include <cmath>
#include <fstream>

#include "paths.h"
#include "serve/server_support.h"
#include "support/embedding_folder.h"

namespace tessera::serve {
namespace {

using ::testing::HasSubstr;

class EmbeddingServer : public ::testing::Test {
 protected:
  EmbeddingServer() {
    copy_embedding_folder(TESSERA_TEST_DATA, "bert", folder_.path());
    fixture_ = std::make_unique<Fixture>(ServerSpec{.blocks = 40, .model = folder_.path()});
  }
  test::TempFolder folder_;
  std::unique_ptr<Fixture> fixture_;
};

TEST_F(EmbeddingServer, PoolsAsTheModelAsks) {
  const Json answer = Json::parse(std::ifstream(folder_.path() / "answer.json"));
  Json input = Json::array();
  for (const Json& text : answer) input.push_back(text["tokens"]);
  const Json json = fixture_->json("/v1/embeddings", Json{{"input", input}}.dump());
  ASSERT_EQ(json["data"].size(), answer.size());
  for (size_t i = 0; i < answer.size(); ++i) {
    const auto expected = answer[i]["embedding"].get<std::vector<double>>(),
               found = json["data"][i]["embedding"].get<std::vector<double>>();
    ASSERT_EQ(found.size(), expected.size());
    double dot = 0, length = 0, found_length = 0;
    for (size_t c = 0; c < found.size(); ++c) {
      dot += expected[c] * found[c];
      length += expected[c] * expected[c];
      found_length += found[c] * found[c];
    }
    EXPECT_NEAR(found_length, 1, 1e-6);
    EXPECT_LE(1 - dot / std::sqrt(length * found_length), 1e-6) << i;
  }
}

TEST_F(EmbeddingServer, TextsBeginAndEndWithTheirTokens) {
  const Json text = fixture_->json("/v1/embeddings", R"({"input":"Ab c"})");
  EXPECT_EQ(text["usage"]["prompt_tokens"], 5);  // [CLS] a ##b c [SEP]
  const Json tokens = fixture_->json("/tokenize", R"({"prompt":"Ab c"})")["tokens"];
  const Json same = fixture_->json("/v1/embeddings", Json{{"input", tokens}}.dump());
  EXPECT_EQ(same["data"], text["data"]);
  const Json mean = fixture_->json("/v1/embeddings", R"({"input":"Ab c","pooling":"mean"})");
  EXPECT_NE(mean["data"], text["data"]);
}

TEST_F(EmbeddingServer, GeneratesNothing) {
  for (const auto& [path, body] :
       {std::pair("/v1/completions", R"({"prompt":"a"})"),
        std::pair("/v1/completions", R"({"prompt":"a","echo":true,"logprobs":1,"max_tokens":0})"),
        std::pair("/v1/chat/completions", R"({"messages":[{"role":"user","content":"a"}]})")}) {
    const auto result = fixture_->post(path, body);
    EXPECT_EQ(result->status, 400) << path;
    EXPECT_THAT(result->body, HasSubstr("a model of 'bert' embeds texts")) << path;
  }
}

TEST_F(EmbeddingServer, TextsThatAreTooLongAreRefused) {
  const Json body = {{"input", std::vector<int>(81, 5)}};
  const auto result = fixture_->post("/v1/embeddings", body.dump());
  EXPECT_EQ(result->status, 400);
  EXPECT_THAT(result->body, HasSubstr("the prompt has 81 tokens, the context holds 80"));
}

}  // namespace
}  // namespace tessera::serve
