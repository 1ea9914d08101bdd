// The server as clients meet it: over sockets, with a tiny model behind.
#include "serve/server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <list>
#include <thread>

#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera::serve {
namespace {

using testing::HasSubstr;

struct ServerSpec {
  int max_sequences = 8, max_queue = 64, blocks = 300;
  ServerOptions server = {.port = 0};
};

// A server and the model it serves.
class Fixture {
 public:
  explicit Fixture(ServerSpec spec = {}) {
    const auto path = write_tiny_model({.context = 4096}, folder_.path());
    session_ = Session::load(path.string(), {.threads = 2}, {.rows = 128, .wanted_rows = 32});
    engine_ = session_.make_engine(
        {.kv_blocks = spec.blocks, .sequences = spec.max_sequences, .prompt_rows = 64});
    service_ = std::make_unique<Service>(session_, *engine_,
                                         ServiceOptions{.model_name = "org/tiny.gguf",
                                                        .max_queue = spec.max_queue,
                                                        .max_sequences = spec.max_sequences});
    server_ = std::make_unique<Server>(*service_, spec.server);
    server_->start();
  }

  httplib::Client client() const {
    httplib::Client client("127.0.0.1", server_->port());
    client.set_read_timeout(120);
    return client;
  }
  httplib::Result post(const std::string& path, const std::string& body,
                       const httplib::Headers& headers = {}) const {
    return client().Post(path, headers, body, "application/json");
  }
  Json json(const std::string& path, const std::string& body) const {
    const auto result = post(path, body);
    EXPECT_TRUE(result) << httplib::to_string(result.error());
    if (!result) return {};
    EXPECT_EQ(result->status, 200) << result->body;
    return Json::parse(result->body);
  }
  Json engine() const { return Json::parse(client().Get("/engine")->body); }
  // Waits, for as long as a test may take, until nothing runs.
  bool becomes_idle() const {
    for (int i = 0; i < 3000; ++i) {
      const Json view = engine();
      if (view["running"].empty() && view["waiting"].empty() && view["pool"]["used"] == 0) {
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return false;
  }
  Server& server() { return *server_; }
  int port() const { return server_->port(); }

 private:
  test::TempFolder folder_;
  Session session_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<Server> server_;
};

// A client that says what it wants, byte by byte.
class RawClient {
 public:
  explicit RawClient(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{.tv_sec = 120, .tv_usec = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~RawClient() { ::close(socket_); }
  // False once the server has closed.
  bool send(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t count = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      text.remove_prefix(static_cast<size_t>(count));
    }
    return true;
  }
  std::string receive() const {
    char buffer[4096];
    const ssize_t count = ::recv(socket_, buffer, sizeof buffer, 0);
    return {buffer, static_cast<size_t>(std::max<ssize_t>(count, 0))};
  }
  std::string receive_all() const {
    std::string all;
    for (std::string part = receive(); !part.empty(); part = receive()) all += part;
    return all;
  }

 private:
  int socket_;
};

std::string http(const std::string& body, const std::string& headers = "") {
  return fmt::format("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{}\r\n{}",
                     body.size(), headers, body);
}

const std::string kLong =
    R"({"prompt":"abc","max_tokens":3900,"ignore_eos":true,"seed":1,"stream":true})";

std::vector<Json> events_of(const std::string& stream) {
  std::vector<Json> events;
  for (size_t at = 0; (at = stream.find("data: ", at)) != std::string::npos;) {
    at += 6;
    const std::string data = stream.substr(at, stream.find("\n\n", at) - at);
    if (data != "[DONE]") events.push_back(Json::parse(data));
  }
  return events;
}

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

  for (const char* pooling : {"mean", "last"}) {
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
  expect_error("/v1/chat/completions", tools(R"({"properties":{"a":{"not":{}}}})"), 400, "'not'");
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
  }
  EXPECT_TRUE(fixture.becomes_idle());
  EXPECT_THAT(fixture.client().Get("/metrics")->body,
              HasSubstr("finished_reason=\"cancelled\"} 2"));
}

TEST(Server, KeysAndOriginsAreChecked) {
  const test::TempFolder folder;
  ServerSpec spec;
  spec.server.keys = ApiKeys::read(folder.write("keys", "secret\n"));
  spec.server.cors_origin = "https://chat.example";
  const Fixture fixture(spec);
  const std::string body = R"({"prompt":"a","max_tokens":1})";
  EXPECT_EQ(fixture.post("/v1/completions", body)->status, 401);
  EXPECT_EQ(fixture.post("/v1/completions", body, {{"Authorization", "Bearer wrong"}})->status,
            401);
  EXPECT_EQ(fixture.post("/v1/completions", body, {{"Authorization", "Bearer secret"}})->status,
            200);
  auto client = fixture.client();
  EXPECT_EQ(client.Get("/health")->status, 200);
  for (const char* path : {"/v1/models", "/metrics", "/engine"}) {
    EXPECT_EQ(client.Get(path)->status, 401) << path;
  }

  const auto preflight = client.Options("/v1/completions", {{"Origin", "https://chat.example"}});
  EXPECT_EQ(preflight->status, 204);
  EXPECT_EQ(preflight->get_header_value("Access-Control-Allow-Origin"), "https://chat.example");
  EXPECT_EQ(fixture.post("/v1/completions", body, {{"Origin", "https://evil.example"}})->status,
            403);
}

TEST(Server, PagesOfOtherOriginsMayNotCallUnlessAllowed) {
  const Fixture fixture;
  const std::string body = R"({"prompt":"a","max_tokens":1})";
  const auto foreign = fixture.post("/v1/completions", body, {{"Origin", "https://evil.example"}});
  EXPECT_EQ(foreign->status, 403);
  EXPECT_FALSE(foreign->has_header("Access-Control-Allow-Origin"));
  const std::string own = fmt::format("http://127.0.0.1:{}", fixture.port());
  EXPECT_EQ(fixture.post("/v1/completions", body, {{"Origin", own}})->status, 200);
}

TEST(Server, HugeAndSlowRequestsEnd) {
  ServerSpec spec;
  spec.server.http.body_bytes = 10000;
  spec.server.http.header_time = spec.server.http.body_time = std::chrono::seconds(1);
  const Fixture fixture(spec);
  const int port = fixture.port();

  const std::string huge(20000, 'x');
  RawClient declared(port);
  declared.send(http(huge));
  EXPECT_THAT(declared.receive_all(), HasSubstr(" 413 "));
  RawClient chunked(port);
  chunked.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  while (chunked.send("1000\r\n" + std::string(4096, 'x') + "\r\n")) {
  }
  EXPECT_THAT(chunked.receive_all(), testing::AnyOf(HasSubstr(" 413 "), testing::IsEmpty()));
  RawClient headers(port);
  headers.send("GET /health HTTP/1.1\r\n");
  while (headers.send("X-More: " + std::string(1000, 'x') + "\r\n")) {
  }

  RawClient half_header(port), half_body(port), nothing(port);
  half_header.send("POST /v1/completions HTTP/1.1\r\nHost");
  half_body.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"pro");
  half_header.receive_all();
  EXPECT_THAT(half_body.receive_all(), HasSubstr(" 408 "));

  for (const char* text :
       {"\r\n\r\n", "GET\r\n\r\n", "\x01\x02\r\n\r\n", "GET / HTTP/9\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "GET /health HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde"}) {
    RawClient odd(port);
    odd.send(text);
    odd.receive_all();
  }
  EXPECT_EQ(fixture.client().Get("/health")->status, 200);
}

TEST(Server, BodiesAreJsonWhateverTheyAreCalled) {
  const Fixture fixture;
  const Json body = {{"prompt", "abc"}, {"max_tokens", 1}, {"user", std::string(20'000, 'x')}};
  for (const char* type : {"application/x-www-form-urlencoded", "multipart/form-data",
                           "multipart/form-data; boundary=x", "text/plain", ""}) {
    const auto result = fixture.client().Post("/v1/completions", body.dump(), type);
    EXPECT_EQ(result->status, 200) << type << ": " << result->body;
  }
  const auto part = fixture.post("/v1/completions", body.dump(), {{"Range", "bytes=0-3"}});
  EXPECT_EQ(part->status, 200);
  EXPECT_THAT(part->body, HasSubstr("\"usage\""));
}

// Where a proxy and the server disagree on where a body ends, what follows is another request to
// one of them.
TEST(Server, ABodyEndsInOneWayOrIsRefused) {
  const Fixture fixture;
  const std::string chunk = "9\r\n{\"a\": 1}\r\n0\r\n\r\n";
  const std::string length = "Content-Length: 9\r\n", chunked = "Transfer-Encoding: chunked\r\n";
  for (const std::string& headers :
       {length + "Content-Length: 5\r\n", length + length, length + chunked, chunked + chunked,
        std::string("Transfer-Encoding: gzip\r\n"), length + "Transfer-Encoding: identity\r\n",
        std::string("Transfer-Encoding: gzip, chunked\r\n"), std::string("Content-Length : 9\r\n"),
        "Transfer-Encoding : chunked\r\n" + length, "Content-Length: 9\nX: y\r\n" + length}) {
    RawClient client(fixture.port());
    client.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n" + chunk);
    const std::string answer = client.receive_all();
    EXPECT_THAT(answer, HasSubstr(" 400 ")) << headers;
    EXPECT_THAT(answer, HasSubstr("Connection: close")) << headers;
    EXPECT_THAT(answer, testing::Not(HasSubstr("Keep-Alive"))) << headers;
  }
  RawClient either(fixture.port());
  either.send(
      "POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
      "Transfer-Encoding: Chunked\r\n\r\n" +
      chunk);
  EXPECT_THAT(either.receive_all(), HasSubstr("'prompt' is missing"));
  for (const auto& [line, status] :
       {std::pair(std::string("GET /health HTTP/1.1\n\n"), " 400 "),
        std::pair("GET /" + std::string(70'000, 'x') + " HTTP/1.1\r\n\r\n", " 414 ")}) {
    RawClient client(fixture.port());
    client.send(line);
    EXPECT_THAT(client.receive_all(), HasSubstr(status));
  }
  RawClient none(fixture.port());  // as `curl -X POST` sends it
  none.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(none.receive_all(), HasSubstr(" 411 "));
}

TEST(Server, TooManyConnectionsAreTurnedAway) {
  ServerSpec spec;
  spec.server.http.connections = 2;
  const Fixture fixture(spec);
  RawClient first(fixture.port()), second(fixture.port());
  first.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
  second.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(first.receive(), HasSubstr(" 200 "));
  EXPECT_THAT(second.receive(), HasSubstr(" 200 "));
  RawClient third(fixture.port());
  third.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(third.receive_all(), HasSubstr(" 503 "));
}

TEST(Server, ThreadsOfClientsThatWentEnd) {
  const std::filesystem::path tasks = "/proc/self/task";
  if (!exists(tasks)) GTEST_SKIP() << "nothing here tells how many threads there are";
  const auto threads = [&] {
    return std::distance(std::filesystem::directory_iterator(tasks), {});
  };
  const Fixture fixture;
  const auto before = threads();
  constexpr int kClients = 60, kMostKept = 20;
  {
    std::list<RawClient> clients;
    for (int i = 0; i < kClients; ++i) clients.emplace_back(fixture.port());
    for (const RawClient& client : clients) client.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    for (const RawClient& client : clients) EXPECT_THAT(client.receive(), HasSubstr(" 200 "));
    EXPECT_GE(threads(), before + kClients);
  }
  for (int i = 0; i < 3000 && threads() > before + kMostKept; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_LE(threads(), before + kMostKept);
  EXPECT_EQ(fixture.client().Get("/health")->status, 200);
}

TEST(Server, ShuttingDownCutsStreamsAtTheDeadline) {
  Fixture fixture;
  RawClient streaming(fixture.port());
  ASSERT_TRUE(streaming.send(http(kLong)));
  streaming.receive();
  fixture.server().shutdown(std::chrono::milliseconds(1));
  const std::string rest = streaming.receive_all();
  EXPECT_THAT(rest, HasSubstr("\"error\""));
  EXPECT_THAT(rest, HasSubstr("data: [DONE]"));
}

TEST(Server, ShuttingDownLetsAnswersEnd) {
  Fixture fixture;
  RawClient streaming(fixture.port());
  std::string brief = kLong;
  brief.replace(brief.find("3900"), 4, "200");
  ASSERT_TRUE(streaming.send(http(brief)));
  std::string answer = streaming.receive();
  fixture.server().shutdown(std::chrono::minutes(2));
  answer += streaming.receive_all();
  EXPECT_THAT(answer, HasSubstr("\"finish_reason\":\"length\""));
  EXPECT_THAT(answer, HasSubstr("data: [DONE]"));
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
