// LoRA adapters on the server: by request, by the model's name, and what is said of them.
#include "serve/server_support.h"
#include "support/tiny_lora.h"

namespace tessera::serve {
namespace {

using testing::HasSubstr;

class LoraServerTest : public testing::Test {
 protected:
  std::string text(const std::string& fields) {
    const Json answer = server_.json("/v1/completions", body(fields));
    return answer["choices"][0]["text"];
  }
  static std::string body(const std::string& fields) {
    return R"({"prompt":"some words","max_tokens":24,"ignore_eos":true,"temperature":0)" + fields +
           "}";
  }
  std::string error(const std::string& fields, int status = 400) {
    const auto result = server_.post("/v1/completions", body(fields));
    EXPECT_EQ(result->status, status) << result->body;
    return result->body;
  }

  Fixture server_{{.lora = {{.seed = 1}, {.seed = 2}}, .lora_scales = {1.0F, 0.0F}}};
};

TEST_F(LoraServerTest, RequestsChooseThem) {
  const std::string usual = text("");
  const std::string none = text(R"(,"lora":[])");
  const std::string second = text(R"(,"lora":[{"id":1,"scale":1}])");
  EXPECT_NE(usual, none);
  EXPECT_NE(usual, second);
  EXPECT_NE(none, second);
  EXPECT_EQ(text(R"(,"lora":[{"id":0,"scale":1}])"), usual);
  EXPECT_EQ(text(R"(,"lora":[{"id":0,"scale":1.0},{"id":1,"scale":0}])"), usual);
  EXPECT_EQ(text(R"(,"lora":[{"id":0,"scale":0}])"), none);
  EXPECT_EQ(text(R"(,"lora":[{"name":"adapter1","scale":1}])"), second);
  EXPECT_NE(text(R"(,"lora":[{"id":0,"scale":0.5}])"), usual);
  EXPECT_NE(text(R"(,"lora":[{"id":0,"scale":1},{"id":1,"scale":1}])"), usual);
  EXPECT_EQ(text(R"(,"model":"org/tiny.gguf")"), usual);
  EXPECT_EQ(text(R"(,"model":"org/tiny.gguf","lora":[{"id":1,"scale":1}])"), second);
}

TEST_F(LoraServerTest, AModelNamedAsAnAdapterIsIt) {
  EXPECT_EQ(text(R"(,"model":"adapter0")"), text(R"(,"lora":[{"id":0,"scale":1}])"));
  EXPECT_EQ(text(R"(,"model":"adapter1")"), text(R"(,"lora":[{"id":1,"scale":1}])"));
  const Json answer = server_.json("/v1/completions", body(R"(,"model":"adapter1")"));
  EXPECT_EQ(answer["model"], "adapter1");
  const Json vector =
      server_.json("/v1/embeddings", R"({"input":"some words","model":"adapter1"})");
  EXPECT_EQ(vector["model"], "adapter1");
  const auto embedding = [&](const std::string& fields) {
    return server_.json("/v1/embeddings",
                        R"({"input":"some words")" + fields + "}")["data"][0]["embedding"];
  };
  EXPECT_EQ(vector["data"][0]["embedding"], embedding(R"(,"lora":[{"id":1,"scale":1}])"));
  EXPECT_NE(vector["data"][0]["embedding"], embedding(""));
  const Json chat = server_.json(
      "/v1/chat/completions",
      R"({"model":"adapter1","messages":[{"role":"user","content":"hello"}],"max_tokens":4})");
  EXPECT_EQ(chat["model"], "adapter1");
}

TEST_F(LoraServerTest, ListsThem) {
  const Json models = Json::parse(server_.client().Get("/v1/models")->body)["data"];
  ASSERT_EQ(models.size(), 3U);
  EXPECT_EQ(models[0]["id"], "org/tiny.gguf");
  EXPECT_EQ(models[1]["id"], "adapter0");
  EXPECT_EQ(models[2]["parent"], "org/tiny.gguf");
  const auto one = server_.client().Get("/v1/models/adapter1");
  ASSERT_EQ(one->status, 200);
  EXPECT_EQ(Json::parse(one->body)["id"], "adapter1");
  EXPECT_EQ(server_.client().Get("/v1/models/adapter2")->status, 404);

  const Json list = Json::parse(server_.client().Get("/lora-adapters")->body);
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0]["id"], 0);
  EXPECT_EQ(list[0]["scale"], 1.0);
  EXPECT_EQ(list[1]["name"], "adapter1");
  EXPECT_EQ(list[1]["scale"], 0.0);
  EXPECT_THAT(list[1]["path"].get<std::string>(), testing::EndsWith("adapter1"));
  EXPECT_EQ(server_.post("/lora-adapters", "[]")->status, 404);
}

TEST_F(LoraServerTest, WhatIsWrongIsNamed) {
  EXPECT_THAT(error(R"(,"lora":{"id":0})"), HasSubstr("'lora'"));
  EXPECT_THAT(error(R"(,"lora":[3])"), HasSubstr("'lora'"));
  EXPECT_THAT(error(R"(,"lora":[{"scale":1}])"), HasSubstr("neither"));
  EXPECT_THAT(error(R"(,"lora":[{"id":0,"name":"adapter0","scale":1}])"), HasSubstr("both"));
  EXPECT_THAT(error(R"(,"lora":[{"id":0}])"), HasSubstr("'lora.scale' is missing"));
  EXPECT_THAT(error(R"(,"lora":[{"id":2,"scale":1}])"), HasSubstr("no LoRA adapter 2"));
  EXPECT_THAT(error(R"(,"lora":[{"id":-1,"scale":1}])"), HasSubstr("'lora.id'"));
  EXPECT_THAT(error(R"(,"lora":[{"id":0,"scale":"x"}])"), HasSubstr("'lora.scale'"));
  EXPECT_THAT(error(R"(,"lora":[{"id":0,"scale":1},{"id":0,"scale":1}])"), HasSubstr("twice"));
  EXPECT_THAT(error(R"(,"lora":[{"name":"x","scale":1}])"), HasSubstr("no LoRA adapter 'x'"));
  EXPECT_THAT(error(R"(,"lora":[{"id":0,"scale":1,"task":"x"}])"), HasSubstr("'lora.task'"));
  EXPECT_THAT(error(R"(,"model":"adapter0","lora":[{"id":0,"scale":1}])"),
              HasSubstr("expected one of them"));
  EXPECT_THAT(error(R"(,"model":"adapter2")", 404), HasSubstr("no model 'adapter2'"));
}

// Many at once, each with other adapters: as alone.
TEST_F(LoraServerTest, SideBySideEachIsAsAlone) {
  const std::vector<std::string> fields = {
      "", R"(,"lora":[])", R"(,"model":"adapter1")", R"(,"lora":[{"id":0,"scale":-1}])",
      R"(,"lora":[{"id":0,"scale":0.5},{"id":1,"scale":0.5}])"};
  std::vector<std::string> alone;
  for (const std::string& one : fields) alone.push_back(text(one));
  std::vector<std::string> together(2 * fields.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < together.size(); ++i) {
    threads.emplace_back([&, i] {
      together[i] =
          text(fields[i % fields.size()] + R"(,"cache_salt":")" + std::to_string(i) + "\"");
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < together.size(); ++i)
    EXPECT_EQ(together[i], alone[i % fields.size()]) << i;
}

}  // namespace
}  // namespace tessera::serve
