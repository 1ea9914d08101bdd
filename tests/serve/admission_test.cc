// What a request may take before it is queued, and what one client may take from another.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>
#include <thread>

#include "serve/server_support.h"

namespace tessera::serve {
namespace {

using testing::HasSubstr;

constexpr const char* kOther = "127.0.0.2";

void wait_until(const auto& done) {
  while (!done()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

std::string closing(const std::string& body, const std::string& headers = "") {
  return http(body, headers + "Connection: close\r\n");
}

TEST(Admission, WhatCannotFitTheContextIsNotCutIntoTokens) {
  const Fixture fixture;
  for (const size_t bytes : {size_t{400'000}, size_t{7'000'000}}) {
    const std::string text(bytes, 'q');
    const Json message = {{"role", "user"}, {"content", text.substr(0, bytes / 4)}};
    const std::vector<std::pair<std::string, Json>> requests = {
        {"/v1/completions", {{"prompt", text}}},
        {"/v1/completions", {{"prompt", {"short", text}}, {"echo", true}, {"logprobs", 1}}},
        {"/v1/embeddings", {{"input", {"short", text}}}},
        {"/v1/chat/completions", {{"messages", Json::array({message, message, message, message})}}},
        {"/tokenize", {{"messages", Json::array({message, message, message, message})}}}};
    for (const auto& [path, body] : requests) {
      const auto refused = fixture.post(path, body.dump());
      ASSERT_TRUE(refused) << path;
      EXPECT_EQ(refused->status, 400) << path;
      const Json error = Json::parse(refused->body)["error"];
      EXPECT_EQ(error["code"], "context_length_exceeded") << path;
      EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("bytes")) << path;
    }
  }
  const Json too_long = {{"prompt", std::string(1'100'000, 'q')}};
  EXPECT_THAT(fixture.post("/tokenize", too_long.dump())->body, HasSubstr("at most 1048576"));
  EXPECT_EQ(fixture.json("/tokenize", Json{{"prompt", std::string(100'000, 'q')}}.dump())["count"]
                .is_number(),
            true);
  const Json too_many = {{"tokens", std::vector<int>(140'000, 1)}};
  EXPECT_THAT(fixture.post("/detokenize", too_many.dump())->body, HasSubstr("at most 131072"));
}

// All bodies together have a bound, of which one client has its share.
TEST(Admission, BodiesThatComeTogetherAreBounded) {
  const Fixture fixture;
  const std::string head =
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8388608\r\n\r\n{";
  const std::string chunked =
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
  std::list<RawClient> crowd;
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(crowd.emplace_back(fixture.port()).send(head));
  const auto refused = [&] {
    return std::ranges::count_if(crowd, [](const RawClient& c) { return !c.peek().empty(); });
  };
  wait_until([&] { return refused() == 3; });  // six times 8 MiB are three quarters of 64 MiB
  for (const RawClient& client : crowd) {
    if (client.peek().empty()) continue;
    const std::string answer = client.receive_all();
    EXPECT_THAT(answer, HasSubstr(" 503 "));
    EXPECT_THAT(answer, HasSubstr("Retry-After: 1"));
  }
  // Another client has room: declared or not.
  RawClient other(fixture.port(), kOther);
  other.send(closing(
      Json{{"prompt", "a"}, {"max_tokens", 1}, {"user", std::string(3'000'000, 'x')}}.dump()));
  EXPECT_THAT(other.receive_all(), HasSubstr(" 200 "));
  RawClient unknown(fixture.port(), kOther);
  unknown.send(chunked);
  for (int i = 0; i < 100; ++i) unknown.send("1000\r\n" + std::string(4096, ' ') + "\r\n");
  unknown.send("20\r\n{\"prompt\": \"a\", \"max_tokens\": 1}\r\n0\r\n\r\n");
  EXPECT_THAT(unknown.receive(), HasSubstr(" 200 "));
  // And the crowd itself, once it has let go.
  crowd.clear();
  const std::string small = R"({"prompt":"a","max_tokens":1})";
  wait_until([&] { return fixture.post("/v1/completions", small)->status == 200; });
}

TEST(Admission, ABodyIsForgottenWhenItIsQueued) {
  const Fixture fixture;
  std::list<RawClient> streams;
  const Json body = {{"prompt", "abc"},
                     {"max_tokens", 3900},
                     {"stream", true},
                     {"ignore_eos", true},
                     {"user", std::string(8'000'000, 'x')}};
  for (int i = 0; i < 10; ++i) {  // 80 MB, one after another
    streams.emplace_back(fixture.port()).send(http(body.dump()));
    EXPECT_THAT(streams.back().receive(), HasSubstr(" 200 ")) << i;
  }
}

TEST(Admission, OnlyWhoMayIsServedBeforeOthers) {
  const test::TempFolder folder;
  ServerSpec spec;
  spec.server.keys = ApiKeys::read(folder.write("keys", "plain\nurgent priority\n"));
  const auto status_of = [](const Fixture& fixture, int priority, const httplib::Headers& headers) {
    const Json body = {{"prompt", "a"}, {"max_tokens", 1}, {"priority", priority}};
    const auto answer = fixture.post("/v1/completions", body.dump(), headers);
    if (answer->status != 200) {
      EXPECT_EQ(Json::parse(answer->body)["error"]["param"], "priority");
    }
    return answer->status;
  };
  const httplib::Headers plain = {{"Authorization", "Bearer plain"}},
                         urgent = {{"Authorization", "Bearer urgent"}};
  const Fixture with_keys(spec), without;
  for (const int priority : {-1, -7, -1000}) {
    EXPECT_EQ(status_of(with_keys, priority, plain), 403);
    EXPECT_EQ(status_of(with_keys, priority, urgent), 200);
    EXPECT_EQ(status_of(without, priority, {}), 403);
  }
  for (const int priority : {0, 3, 1000}) {  // later than one's own others: as one likes
    EXPECT_EQ(status_of(with_keys, priority, plain), 200);
    EXPECT_EQ(status_of(without, priority, {}), 200);
  }
  spec.server.allow_priority = true;
  const Fixture allowing(spec);
  EXPECT_EQ(status_of(allowing, -1000, plain), 200);
}

TEST(Admission, OneClientsManyLeaveRoomForAnother) {
  for (const char* kind : {"n", "prompts", "embeddings"}) {
    SCOPED_TRACE(kind);
    const Fixture fixture;  // 8 run, 64 more wait
    Json body = {{"max_tokens", 3900}, {"ignore_eos", true}};
    std::string path = "/v1/completions";
    const std::vector<std::string> many(100, std::string(1500, 'z'));
    if (kind == std::string("n")) body["prompt"] = "abc", body["n"] = 128;
    if (kind == std::string("prompts"))
      body["prompt"] = many, body["echo"] = true, body["logprobs"] = 1;
    if (kind == std::string("embeddings")) path = "/v1/embeddings", body = {{"input", many}};
    std::list<RawClient> crowd;
    for (int i = 0; i < 6; ++i) {
      const std::string text = body.dump();
      crowd.emplace_back(fixture.port())
          .send(fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}",
                            path, text.size(), text));
    }
    wait_until([&] { return !fixture.engine()["running"].empty(); });
    for (int i = 0; i < 3; ++i) {
      RawClient other(fixture.port(), kOther);
      other.send(closing(R"({"prompt":"a","max_tokens":1})"));
      EXPECT_THAT(other.receive_all(), HasSubstr(" 200 "));
    }
    EXPECT_FALSE(fixture.engine()["running"].empty());  // the crowd is not done
    crowd.clear();
    EXPECT_TRUE(fixture.becomes_idle());  // nor left behind
  }
}

// However few of a request's answers are made at once, they are those of each alone.
TEST(Admission, ManyAnswersAreMadeAFewAtATime) {
  const Fixture fixture({.max_sequences = 3, .max_queue = 9});
  Json body = {{"prompt", "abc"}, {"max_tokens", 5}, {"ignore_eos", true}, {"seed", 7}, {"n", 30}};
  const Json whole = fixture.json("/v1/completions", body.dump());
  ASSERT_EQ(whole["choices"].size(), 30u);
  EXPECT_EQ(whole["usage"]["completion_tokens"], 150);
  body["n"] = 1;
  for (const int i : {0, 1, 2, 3, 11, 29}) {
    body["seed"] = 7 + i;
    EXPECT_EQ(fixture.json("/v1/completions", body.dump())["choices"][0]["text"],
              whole["choices"][i]["text"])
        << i;
  }
  const Json inputs = {{"input", {"a", "b", "c", "a", "b", "c", "a", "b"}}};
  const Json vectors = fixture.json("/v1/embeddings", inputs.dump());
  EXPECT_EQ(vectors["data"][0]["embedding"], vectors["data"][6]["embedding"]);
  EXPECT_NE(vectors["data"][0]["embedding"], vectors["data"][1]["embedding"]);
  EXPECT_TRUE(fixture.becomes_idle());
}

TEST(Loading, IsSaidWhileThereIsNoModel) {
  Server server({.model_name = "tiny", .port = 0});
  server.start();
  httplib::Client client("127.0.0.1", server.port());
  const auto health = client.Get("/health");
  ASSERT_TRUE(health);
  EXPECT_EQ(health->status, 503);
  EXPECT_EQ(Json::parse(health->body), Json({{"status", "loading model"}}));
  for (const char* path : {"/v1/models", "/metrics", "/engine", "/"}) {
    const auto answer = client.Get(path);
    EXPECT_EQ(answer->status, 503) << path;
    EXPECT_EQ(answer->get_header_value("Retry-After"), "1") << path;
    EXPECT_THAT(answer->body, HasSubstr("being loaded")) << path;
  }
  const auto completion = client.Post("/v1/completions", R"({"prompt":"a"})", "application/json");
  EXPECT_EQ(completion->status, 503);
  EXPECT_EQ(client.Get("/nowhere")->status, 404);
  // And a port that is taken, before anything is loaded.
  EXPECT_THROW(Server({.model_name = "other", .port = server.port()}), Error);
}

}  // namespace
}  // namespace tessera::serve
