// The API as clients meet it: over sockets, with a tiny model behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <list>
#include <thread>

#include "serve/server_support.h"

namespace tessera::serve {
namespace {

using testing::HasSubstr;

TEST(Server, StreamedAndWholeAnswersHaveTheSameText) {
  const Fixture fixture;
  const std::string body =
      R"("messages":[{"role":"user","content":"hello"}],"max_tokens":30,"seed":5,"n":2,
         "ignore_eos":true,"model":"org/tiny.gguf")";
  const Json whole = fixture.json("/v1/chat/completions", "{" + body + "}");
  EXPECT_EQ(whole["object"], "chat.completion");
  EXPECT_EQ(whole["choices"].size(), 2u);
  EXPECT_EQ(whole["usage"]["completion_tokens"], 60);
  EXPECT_EQ(whole["choices"][0]["finish_reason"], "length");
  EXPECT_NE(whole["choices"][0]["message"]["content"], whole["choices"][1]["message"]["content"]);

  const auto result =
      fixture.post("/v1/chat/completions",
                   "{" + body + R"(,"stream":true,"stream_options":{"include_usage":true}})");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->get_header_value("Content-Type"), "text/event-stream");
  EXPECT_TRUE(result->body.ends_with("data: [DONE]\n\n"));
  std::string texts[2];
  const auto events = events_of(result->body);
  for (const Json& event : events) {
    EXPECT_EQ(event["object"], "chat.completion.chunk");
    for (const Json& choice : event["choices"]) {
      texts[choice["index"].get<int>()] += choice["delta"].value("content", "");
    }
  }
  EXPECT_EQ(texts[0], whole["choices"][0]["message"]["content"]);
  EXPECT_EQ(texts[1], whole["choices"][1]["message"]["content"]);
  EXPECT_TRUE(events.back()["choices"].empty());
  EXPECT_EQ(events.back()["usage"]["completion_tokens"], 60);
  EXPECT_EQ(events.back()["usage"]["total_tokens"], whole["usage"]["total_tokens"]);
  EXPECT_TRUE(events.back()["usage"]["prompt_tokens_details"].contains("cached_tokens"));
}

TEST(Server, CompletionsEchoStopAndGiveLogprobs) {
  const Fixture fixture;
  const Json plain = fixture.json(
      "/v1/completions", R"({"prompt":"abc","max_tokens":12,"temperature":0,"ignore_eos":true})");
  const std::string text = plain["choices"][0]["text"];
  const Json echoed = fixture.json(
      "/v1/completions",
      R"({"prompt":["abc","abc"],"max_tokens":12,"temperature":0,"ignore_eos":true,"echo":true})");
  EXPECT_EQ(echoed["choices"][1]["text"], "abc" + text);

  const Json probable = fixture.json(
      "/v1/completions",
      R"({"prompt":"abc","max_tokens":4,"temperature":0,"ignore_eos":true,"logprobs":2})");
  const Json& logprobs = probable["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"].size(), 4u);
  EXPECT_EQ(logprobs["text_offset"][0], 0);
  EXPECT_LE(logprobs["token_logprobs"][0], 0.0);
  EXPECT_LE(logprobs["top_logprobs"][0].size(), 2u);

  ASSERT_GE(text.size(), 4u);
  Json stopping = {{"prompt", "abc"}, {"max_tokens", 12}, {"temperature", 0}, {"ignore_eos", true}};
  const std::string tail = text.substr(text.size() - 1);
  stopping["stop"] = tail;
  const Json stopped = fixture.json("/v1/completions", stopping.dump());
  EXPECT_EQ(stopped["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(stopped["choices"][0]["text"], text.substr(0, text.find(tail)));

  EXPECT_EQ(fixture.json("/v1/completions",
                         R"({"prompt":"abc","max_tokens":0,"echo":true})")["choices"][0]["text"],
            "abc");
}

// As evaluation harnesses ask for the likelihood of a given text.
TEST(Server, EchoedPromptsHaveLogprobs) {
  const Fixture fixture;
  const Json plain = fixture.json("/v1/completions", R"({"prompt":"abc","max_tokens":4,
      "temperature":0,"ignore_eos":true,"logprobs":1})");
  const Json& made = plain["choices"][0]["logprobs"];
  std::vector<Token> tokens = fixture.json("/tokenize", R"({"prompt":"abc"})")["tokens"];
  const size_t prompt = tokens.size();
  ASSERT_GE(prompt, 2u);

  Json body = {{"prompt", "abc"},    {"max_tokens", 4}, {"temperature", 0},
               {"ignore_eos", true}, {"logprobs", 1},   {"echo", true}};
  const Json whole = fixture.json("/v1/completions", body.dump())["choices"][0];
  const Json& logprobs = whole["logprobs"];
  for (const char* list : {"tokens", "token_logprobs", "top_logprobs", "text_offset"})
    ASSERT_EQ(logprobs[list].size(), prompt + 4) << list;
  EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
  EXPECT_TRUE(logprobs["top_logprobs"][0].is_null());
  EXPECT_EQ(logprobs["text_offset"][0], 0);
  EXPECT_EQ(logprobs["text_offset"][prompt], 3);
  std::string text;
  for (size_t i = 0; i < prompt; ++i) text += logprobs["tokens"][i].get<std::string>();
  EXPECT_THAT(text, testing::EndsWith("abc"));
  EXPECT_THAT(whole["text"].get<std::string>(), testing::StartsWith("abc"));
  for (size_t i = 1; i < prompt; ++i) {
    EXPECT_LE(logprobs["token_logprobs"][i], 0.0);
    EXPECT_EQ(logprobs["top_logprobs"][i].size(), 1u);
  }
  for (size_t i = 0; i < 4; ++i)
    EXPECT_EQ(logprobs["token_logprobs"][prompt + i], made["token_logprobs"][i]);

  body["stream"] = true;
  Json streamed = {{"tokens", Json::array()}, {"token_logprobs", Json::array()}};
  text.clear();
  for (const Json& event : events_of(fixture.post("/v1/completions", body.dump())->body)) {
    const Json& choice = event["choices"][0];
    text += choice["text"].get<std::string>();
    if (choice["logprobs"].is_null()) continue;
    for (auto& [name, list] : streamed.items())
      for (const Json& value : choice["logprobs"][name]) list.push_back(value);
  }
  EXPECT_EQ(text, whole["text"]);
  for (const auto& [name, list] : streamed.items()) EXPECT_EQ(list, logprobs[name]) << name;

  body["stream"] = false;
  body["max_tokens"] = 0;
  body["prompt"] = {tokens, std::vector<Token>{tokens[0]}};
  const Json scored = fixture.json("/v1/completions", body.dump());
  EXPECT_EQ(scored["usage"]["completion_tokens"], 0);
  EXPECT_EQ(scored["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(scored["choices"][0]["logprobs"]["token_logprobs"].size(), prompt);
  EXPECT_EQ(scored["choices"][1]["logprobs"]["token_logprobs"], Json::parse("[null]"));
  for (size_t i = 0; i < prompt; ++i) {
    EXPECT_EQ(scored["choices"][0]["logprobs"]["token_logprobs"][i], logprobs["token_logprobs"][i]);
  }
}

TEST(Server, ThePageIsServedUnderItsPolicy) {
  const Fixture fixture;
  auto client = fixture.client();
  const auto page = client.Get("/");
  ASSERT_EQ(page->status, 200);
  EXPECT_EQ(page->get_header_value("Content-Type"), "text/html; charset=utf-8");
  const std::string script = "/js/app.js";
  EXPECT_THAT(page->body, HasSubstr("js/app.js"));
  for (const std::string& path : {std::string("/"), std::string("/index.html"), script}) {
    const auto file = client.Get(path);
    ASSERT_EQ(file->status, 200) << path;
    const std::string policy = file->get_header_value("Content-Security-Policy");
    for (const char* part : {"default-src 'self'", "object-src 'none'", "base-uri 'none'",
                             "frame-ancestors 'none'", "require-trusted-types-for 'script'"})
      EXPECT_THAT(policy, HasSubstr(part)) << path;
    EXPECT_THAT(policy, testing::Not(HasSubstr("unsafe")));
    EXPECT_EQ(file->get_header_value("X-Content-Type-Options"), "nosniff");
    EXPECT_EQ(file->get_header_value("Referrer-Policy"), "no-referrer");
    EXPECT_EQ(file->get_header_value("Cache-Control"), "no-cache");

    const std::string etag = file->get_header_value("ETag");
    ASSERT_THAT(etag, testing::AllOf(testing::StartsWith("\""), testing::EndsWith("\"")));
    for (const std::string& known : {etag, "\"other\", " + etag}) {
      const auto again = client.Get(path, {{"If-None-Match", known}});
      EXPECT_EQ(again->status, 304) << path;
      EXPECT_TRUE(again->body.empty());
      EXPECT_EQ(again->get_header_value("ETag"), etag);
    }
    const auto changed = client.Get(path, {{"If-None-Match", "\"other\""}});
    EXPECT_EQ(changed->status, 200);
    EXPECT_EQ(changed->body, file->body);
  }
  EXPECT_EQ(client.Get("/js/nothing.js")->status, 404);
  EXPECT_EQ(client.Get("/../server.cc")->status, 404);
}

TEST(Server, TheEngineTellsItsSecond) {
  const Fixture fixture;
  const int64_t before = fixture.engine()["second"];
  EXPECT_GE(before, 0);
  fixture.json("/v1/completions", R"({"prompt":"abc","max_tokens":4,"ignore_eos":true})");
  const Json after = fixture.engine();
  ASSERT_FALSE(after["throughput"].empty());
  EXPECT_GE(after["throughput"].back()["second"], before);
  EXPECT_GE(after["second"], after["throughput"].back()["second"]);
}

TEST(Server, TokensEmbeddingsAndModels) {
  const Fixture fixture;
  const Json tokens = fixture.json("/tokenize", R"({"prompt":"hello world"})");
  EXPECT_EQ(tokens["count"], tokens["tokens"].size());
  const Json text = fixture.json("/detokenize", Json{{"tokens", tokens["tokens"]}}.dump());
  EXPECT_EQ(text["prompt"], "hello world");

  for (const char* pooling : {"mean", "cls", "last"}) {
    const Json json = fixture.json(
        "/v1/embeddings", Json{{"input", {"one text", "two"}}, {"pooling", pooling}}.dump());
    ASSERT_EQ(json["data"].size(), 2u);
    double sum = 0;
    for (const Json& value : json["data"][1]["embedding"]) {
      sum += value.get<double>() * value.get<double>();
    }
    EXPECT_NEAR(sum, 1, 1e-4);
    const Json coded = fixture.json(
        "/v1/embeddings",
        Json{{"input", "two"}, {"pooling", pooling}, {"encoding_format", "base64"}}.dump());
    const size_t bytes = json["data"][1]["embedding"].size() * 4;
    EXPECT_EQ(coded["data"][0]["embedding"].get<std::string>().size(), (bytes + 2) / 3 * 4);
  }

  auto client = fixture.client();
  EXPECT_THAT(client.Get("/v1/models")->body, HasSubstr("\"org/tiny.gguf\""));
  EXPECT_EQ(client.Get("/v1/models/org/tiny.gguf")->status, 200);
  const SamplingOptions open;
  const Json defaults =
      Json::parse(client.Get("/v1/models")->body)["data"][0]["default_generation_settings"];
  EXPECT_EQ(defaults["temperature"].get<float>(), open.temperature);
  EXPECT_EQ(defaults["top_k"], open.top_k);
  EXPECT_EQ(defaults["top_p"].get<float>(), open.top_p);
  EXPECT_EQ(defaults["min_p"].get<float>(), open.min_p);
  EXPECT_EQ(client.Get("/v1/models/org/tinyXgguf")->status, 404);
  EXPECT_THAT(client.Get("/v1/models/other")->body, HasSubstr("model_not_found"));
  EXPECT_EQ(client.Get("/health")->status, 200);
  EXPECT_THAT(client.Get("/metrics")->body, HasSubstr("vllm:generation_tokens_total"));
}

TEST(Server, ErrorsAreErrorObjectsWithTheRightStatus) {
  const Fixture fixture;
  const auto expect_error = [&](const std::string& path, const std::string& body, int status,
                                const std::string& part) {
    const auto result = fixture.post(path, body);
    ASSERT_TRUE(result) << path << body;
    EXPECT_EQ(result->status, status) << result->body;
    const Json json = Json::parse(result->body);
    EXPECT_THAT(json["error"]["message"].get<std::string>(), HasSubstr(part));
    for (const char* member : {"type", "param", "code"})
      EXPECT_TRUE(json["error"].contains(member));
  };
  expect_error("/v1/completions", "{", 400, "not valid JSON");
  expect_error("/v1/completions", R"({"prompt":"a","model":"other"})", 404, "other");
  expect_error("/v1/completions", R"({"prompt":"a","temperature":"hot"})", 400, "temperature");
  expect_error("/v1/completions", R"({"prompt":[999999]})", 400, "999999");
  expect_error("/v1/completions", R"({"prompt":""})", 400, "empty");
  expect_error("/v1/completions", R"({"prompt":"a","decoder":"magic"})", 400, "magic");
  expect_error("/v1/completions", R"({"prompt":"a","response_format":{"type":"yaml"}})", 400,
               "expected text, json_object or json_schema");
  expect_error("/v1/completions", R"({"prompt":"a","response_format":{"type":"json_schema"}})", 400,
               "json_schema");
  expect_error(
      "/v1/completions",
      R"({"prompt":"a","response_format":{"type":"json_schema","json_schema":{"schema":{"type":"thing"}}}})",
      400, "thing");
  expect_error("/v1/completions", R"({"prompt":"a","grammar":"root ::= ("})", 400,
               "line 1, column 11");
  expect_error(
      "/v1/completions",
      R"({"prompt":"a","grammar":"root ::= \"a\"","response_format":{"type":"json_object"}})", 400,
      "one of them");
  const auto tools = [](const std::string& parameters) {
    return R"({"messages":[{"role":"user","content":"a"}],"tool_choice":"required","tools":[)"
           R"({"type":"function","function":{"name":"f","parameters":)" +
           parameters + "}}]}";
  };
  expect_error("/v1/chat/completions", tools(R"({"properties":{"a":{"$dynamicRef":"#a"}}})"), 400,
               "'$dynamicRef'");
  expect_error("/v1/chat/completions", tools(R"({"type":"string"})"), 400, "'f'");
  expect_error("/v1/chat/completions", tools("[]"), 400, "tools.function.parameters");
  const std::string long_prompt(9000, 'x');
  const std::vector<std::pair<std::string, Json>> long_requests = {
      {"/v1/chat/completions",
       {{"messages", Json::array({{{"role", "user"}, {"content", long_prompt}}})}}},
      {"/v1/completions", {{"prompt", long_prompt}}},
      {"/v1/embeddings", {{"input", long_prompt}}}};
  for (const auto& [path, body] : long_requests) {
    expect_error(path, body.dump(), 400, "the context holds 4096");
    const Json error = Json::parse(fixture.post(path, body.dump())->body)["error"];
    EXPECT_EQ(error["param"], body.items().begin().key());
    EXPECT_EQ(error["code"], "context_length_exceeded");
  }
  expect_error("/detokenize", R"({"tokens":[999999]})", 400, "999999");
  const Json unknown = {{"model", std::string(100'000, 'x')}, {"prompt", "abc"}};
  const auto refused = fixture.post("/v1/completions", unknown.dump());
  EXPECT_EQ(refused->status, 404);
  EXPECT_LT(refused->body.size(), 2000u);
  expect_error("/nowhere", "{}", 404, "nothing");
  EXPECT_EQ(fixture.client().Get("/v1/completions")->status, 404);
  EXPECT_EQ(fixture.post("/v1/completions", "{}", {{"Content-Encoding", "gzip"}})->status, 415);
}

TEST(Server, AnswersKeepToTheirForm) {
  const Fixture fixture;
  const auto answer = [&](const Json& extra) {
    Json body = {{"prompt", "a"}, {"max_tokens", 40}, {"seed", 5}};
    body.update(extra);
    const Json json = Json::parse(fixture.post("/v1/completions", body.dump())->body);
    EXPECT_EQ(json["choices"][0]["finish_reason"], "stop") << json.dump();
    return json["choices"][0]["text"].get<std::string>();
  };
  EXPECT_THAT(answer({{"grammar", "root ::= \"yes\" | \"no\""}}), testing::AnyOf("yes", "no"));
  const Json schema = {{"enum", {"red", 7}}};
  const Json format = {{"type", "json_schema"},
                       {"json_schema", {{"name", "colour"}, {"schema", schema}}}};
  EXPECT_THAT(answer({{"response_format", format}}), testing::AnyOf("\"red\"", "7"));
}

// A model of random weights would not find a call by itself.
TEST(Server, RequiredToolsAreCalledWithArgumentsThatFit) {
  const Fixture fixture;
  Json body = Json::parse(R"({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3000,
    "n": 4, "temperature": 2, "tools": [
      {"type": "function", "function": {"name": "paint", "parameters": {"type": "object",
        "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}}},
      {"type": "function", "function": {"name": "wait"}}]})");
  const auto check = [](const Json& call) {
    const std::string arguments = call["function"]["arguments"];
    EXPECT_THAT(call["function"]["name"].get<std::string>() + arguments,
                testing::AnyOf(R"(paint{"colour":"red"})", R"(paint{"colour":"blue"})", "wait{}"));
  };
  const Json named = {{"type", "function"}, {"function", {{"name", "wait"}}}};
  for (const Json& choice : {Json("required"), named}) {
    body["tool_choice"] = choice;
    for (const bool parallel : {true, false}) {
      body["parallel_tool_calls"] = parallel;
      body["seed"] = parallel ? 1 : 2;
      body["stream"] = false;
      const Json whole = fixture.json("/v1/chat/completions", body.dump());
      std::vector<std::string> names;
      for (const Json& answer : whole["choices"]) {
        EXPECT_EQ(answer["finish_reason"], "tool_calls");
        EXPECT_TRUE(answer["message"]["content"].is_null());
        const Json& calls = answer["message"]["tool_calls"];
        EXPECT_LE(calls.size(), parallel && choice == "required" ? 16u : 1u);
        for (const Json& call : calls) {
          check(call);
          names.push_back(call["function"]["name"]);
          EXPECT_TRUE(choice == "required" || names.back() == "wait");
        }
      }
      body["stream"] = true;
      std::vector<std::string> streamed[4], expected;
      const auto stream = fixture.post("/v1/chat/completions", body.dump());
      for (const Json& event : events_of(stream->body)) {
        for (const Json& delta : event["choices"]) {
          EXPECT_EQ(delta["delta"].value("content", ""), "");
          for (const Json& call : delta["delta"].value("tool_calls", Json::array()))
            streamed[delta["index"].get<int>()].push_back(call["function"]["name"]);
        }
      }
      for (const auto& of_choice : streamed)
        expected.insert(expected.end(), of_choice.begin(), of_choice.end());
      EXPECT_EQ(expected, names);
    }
  }
}

TEST(Server, AFullQueueIsSaidWithARetryAfter) {
  const Fixture fixture({.max_sequences = 1, .max_queue = 1});
  RawClient first(fixture.port()), second(fixture.port());
  ASSERT_TRUE(first.send(http(kLong)) && second.send(http(kLong)));
  first.receive();
  second.receive();
  const auto result = fixture.post("/v1/completions", R"({"prompt":"a"})");
  EXPECT_EQ(result->status, 429);
  EXPECT_GE(std::stoi(result->get_header_value("Retry-After")), 1);
  EXPECT_THAT(result->body, HasSubstr("rate_limit_error"));
}

TEST(Server, AClientThatGoesAwayFreesItsBlocks) {
  const Fixture fixture;
  {
    RawClient streaming(fixture.port()), waiting(fixture.port());
    std::string whole = kLong;
    whole.replace(whole.find("\"stream\":true"), 13, "\"stream\":false");
    ASSERT_TRUE(streaming.send(http(kLong)) && waiting.send(http(whole)));
    while (streaming.receive().find("data: ") == std::string::npos) {
    }
    const auto unfinished = [&] {
      const Json view = fixture.engine();
      return view["running"].size() + view["waiting"].size();
    };
    for (int i = 0; i < 3000 && unfinished() < 2; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(fixture.becomes_idle());
  EXPECT_THAT(fixture.client().Get("/metrics")->body,
              HasSubstr("finished_reason=\"cancelled\"} 2"));
}

TEST(Server, ManyStreamsAtOnceEachGetTheirOwnText) {
  const Fixture fixture({.max_sequences = 32, .max_queue = 64, .blocks = 64});
  const auto ask = [&](int seed) {
    const Json body = {{"prompt", "a common beginning of all, and " + std::to_string(seed)},
                       {"max_tokens", 40},
                       {"seed", seed},
                       {"stream", true},
                       {"ignore_eos", true}};
    const auto result = fixture.post("/v1/completions", body.dump());
    std::string text;
    if (!result) return text;
    for (const Json& event : events_of(result->body)) {
      for (const Json& choice : event["choices"]) text += choice["text"].get<std::string>();
    }
    return text;
  };
  std::vector<std::string> together(48);
  std::vector<std::thread> clients;
  for (int i = 0; i < 48; ++i) clients.emplace_back([&, i] { together[i] = ask(i); });
  for (std::thread& client : clients) client.join();
  for (int i = 0; i < 48; i += 7) EXPECT_EQ(together[i], ask(i)) << i;
  EXPECT_TRUE(fixture.becomes_idle());
}

}  // namespace
}  // namespace tessera::serve
