// Who may call, what a request may look like, and how connections end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>
#include <thread>

#include "serve/server_support.h"

namespace tessera::serve {
namespace {

using testing::HasSubstr;

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

}  // namespace
}  // namespace tessera::serve
