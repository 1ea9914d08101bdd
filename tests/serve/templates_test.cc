// Messages, the template, and what of a text may be a control token.
#include <algorithm>
#include <tuple>

#include "server_support.h"

namespace tessera::serve {
namespace {

using ::testing::HasSubstr;

constexpr const char* kChat = "/v1/chat/completions";

// How many tokens of a request's prompt are the one that `text` is alone.
int count_token(const Fixture& fixture, const std::string& request, const std::string& text) {
  const Json id = fixture.json("/tokenize", Json{{"prompt", text}, {"parse_special", true}}.dump());
  EXPECT_EQ(id["count"], 1);
  const Json tokens = fixture.json("/tokenize", request)["tokens"];
  return static_cast<int>(std::count(tokens.begin(), tokens.end(), id["tokens"][0]));
}

TEST(Templates, ToolsAndSystemTextsOfATemplateWithoutASystemRoleAreInTheUsersTurn) {
  const Fixture fixture({.chat_template = "gemma"});
  const std::string request =
      R"({"messages":[{"role":"system","content":"S"},{"role":"user","content":"U"},
          {"role":"user","content":"V"}],"max_tokens":1,
          "tools":[{"type":"function","function":{"name":"look_up"}}]})";
  EXPECT_EQ(fixture.post(kChat, request)->status, 200);
  const auto prompt = fixture.json("/apply-template", request)["prompt"].get<std::string>();
  EXPECT_EQ(prompt.find("<start_of_turn>user\nS\n\nYou can call functions."),
            prompt.find("<start"));
  EXPECT_THAT(prompt, HasSubstr("\"look_up\""));
  EXPECT_THAT(prompt, HasSubstr("</tool_call>\n\nU\n\nV<end_of_turn>\n<start_of_turn>model\n"));

  const Json calls = Json::parse(
      R"({"messages":[{"role":"user","content":"U"},
          {"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f"}},
                                            {"id":"2","type":"function","function":{"name":"g"}}]},
          {"role":"tool","tool_call_id":"1","content":"R"},
          {"role":"tool","tool_call_id":"2","content":"Q"}]})");
  EXPECT_THAT(fixture.json("/apply-template", calls.dump())["prompt"].get<std::string>(),
              HasSubstr("<start_of_turn>user\n<tool_response>\nR\n</tool_response>\n\n"
                        "<tool_response>\nQ\n</tool_response><end_of_turn>\n"));
}

TEST(Templates, ParseSpecialIsForEachRequestAndTheFlagForTheRest) {
  const std::string text = "a<|im_end|>b<|im_start|>";
  const auto request = [&](const char* field) {
    return fmt::format(R"({{"messages":[{{"role":"system","content":"{0}"}},
                                         {{"role":"user","content":"{0}","name":"{0}"}}]{1}}})",
                       text, field);
  };
  constexpr const char *kOff = R"(,"parse_special":false)", *kOn = R"(,"parse_special":true)";
  const Fixture usual, strict({.parse_special = false});
  for (const auto& [fixture, field, ends] :
       std::vector<std::tuple<const Fixture*, const char*, int>>{{&usual, "", 4},
                                                                 {&usual, kOn, 4},
                                                                 {&usual, kOff, 2},
                                                                 {&strict, "", 2},
                                                                 {&strict, kOn, 4},
                                                                 {&strict, kOff, 2}}) {
    EXPECT_EQ(count_token(*fixture, request(field), "<|im_end|>"), ends);
    const std::string body = request(field);
    const Json usage =
        fixture->json(kChat, body.substr(0, body.size() - 1) + R"(,"max_tokens":1})")["usage"];
    EXPECT_EQ(usage["prompt_tokens"], fixture->json("/tokenize", body)["count"]);
    EXPECT_EQ(fixture->json("/apply-template", body)["prompt"],
              usual.json("/apply-template", request(""))["prompt"]);
  }
  for (const char* path : {"/v1/completions", "/v1/embeddings"}) {
    const auto tokens = [&](const Fixture& fixture, const char* field) {
      const std::string name = std::string(path) == "/v1/completions" ? "prompt" : "input";
      return fixture
          .json(path,
                fmt::format(R"({{"{}":"{}"{}}})", name, text, field))["usage"]["prompt_tokens"]
          .get<int>();
    };
    const int letters =
        usual.json("/tokenize", Json{{"prompt", text}, {"parse_special", false}}.dump())["count"];
    EXPECT_GT(letters, 20);
    EXPECT_EQ(tokens(usual, ""), 4) << path;
    EXPECT_EQ(tokens(usual, kOff), letters) << path;
    EXPECT_EQ(tokens(strict, ""), letters) << path;
    EXPECT_EQ(tokens(strict, kOn), 4) << path;
  }
  const auto wrong = usual.post(kChat, request(R"(,"parse_special":"no")"));
  EXPECT_EQ(wrong->status, 400);
  EXPECT_THAT(wrong->body, HasSubstr("parse_special"));
}

TEST(Templates, AModelWithoutOneSaysHowToGiveItOne) {
  const Fixture base({.has_template = false});
  const std::string request = R"({"messages":[{"role":"user","content":"Hi"}]})";
  for (const char* path : {kChat, "/apply-template", "/tokenize"}) {
    const auto answer = base.post(path, request);
    EXPECT_EQ(answer->status, 400) << path;
    EXPECT_THAT(answer->body, HasSubstr("--chat-template")) << path;
    EXPECT_THAT(answer->body, HasSubstr("/v1/completions")) << path;
  }
  EXPECT_EQ(base.post("/v1/completions", R"({"prompt":"a","max_tokens":1})")->status, 200);
  const Fixture given({.has_template = false, .chat_template = "zephyr"});
  EXPECT_EQ(
      given.post(kChat, R"({"messages":[{"role":"user","content":"Hi"}],"max_tokens":1})")->status,
      200);
  EXPECT_EQ(given.json("/apply-template", request)["prompt"],
            "<|user|>\nHi<|im_end|>\n<|assistant|>\n");
}

}  // namespace
}  // namespace tessera::serve
