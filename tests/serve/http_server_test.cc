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
  spec.server.cors_origins = {"https://chat.example", "https://other.example"};
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
  const auto other = client.Get("/health", {{"Origin", "https://other.example"}});
  EXPECT_EQ(other->get_header_value("Access-Control-Allow-Origin"), "https://other.example");
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

// DNS rebinding: the page's own name leads to this machine, and its origin is that of the server.
TEST(Server, IsNotCalledByOtherNames) {
  const Fixture fixture;
  for (const char* host : {"evil.example", "evil.example:8080", "localhost.evil.example",
                           "10.0.0.1", "[::2]", "127.0.0.1.evil.example", ""}) {
    const httplib::Headers page = {{"Host", host}, {"Origin", std::string("http://") + host}};
    for (const char* path : {"/v1/models", "/models/", "/engine", "/metrics", "/", "/nowhere"}) {
      const auto answer = fixture.client().Get(path, page);
      EXPECT_EQ(answer->status, 403) << host << path;
      EXPECT_FALSE(answer->has_header("Access-Control-Allow-Origin"));
    }
    EXPECT_EQ(fixture.client().Get("/health", {{"Host", host}})->status, 200);
  }
  for (const char* host :
       {"localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]:8080", "a.localhost"}) {
    EXPECT_EQ(fixture.client().Get("/v1/models", {{"Host", host}})->status, 200) << host;
  }
}

TEST(Server, AllowedHostsAreNamed) {
  ServerSpec spec;
  spec.server.allowed_hosts = {"llm.lan", "Chat.Example:443"};
  const Fixture fixture(spec);
  for (const auto& [host, status] : {std::pair("llm.lan:8000", 200), std::pair("chat.example", 200),
                                     std::pair("lan", 403), std::pair("x.llm.lan", 403)}) {
    EXPECT_EQ(fixture.client().Get("/v1/models", {{"Host", host}})->status, status) << host;
  }
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
  chunked.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  while (chunked.send("1000\r\n" + std::string(4096, 'x') + "\r\n")) {
  }
  EXPECT_THAT(chunked.receive_all(), testing::AnyOf(HasSubstr(" 413 "), testing::IsEmpty()));
  RawClient headers(port);
  headers.send("GET /health HTTP/1.1\r\n");
  while (headers.send("X-More: " + std::string(1000, 'x') + "\r\n")) {
  }

  RawClient half_header(port), half_body(port), nothing(port);
  half_header.send("POST /v1/completions HTTP/1.1\r\nHost");
  half_body.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{\"pro");
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
  const std::string chunk = "8\r\n{\"a\": 1}\r\n0\r\n\r\n";
  const std::string length = "Content-Length: 9\r\n", chunked = "Transfer-Encoding: chunked\r\n";
  for (const std::string& headers :
       {length + "Content-Length: 5\r\n", length + length, length + chunked, chunked + chunked,
        std::string("Transfer-Encoding: gzip\r\n"), length + "Transfer-Encoding: identity\r\n",
        std::string("Transfer-Encoding: gzip, chunked\r\n"), std::string("Content-Length : 9\r\n"),
        "Transfer-Encoding : chunked\r\n" + length, "Content-Length: 9\nX: y\r\n" + length}) {
    RawClient client(fixture.port());
    client.send("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n" + chunk);
    const std::string answer = client.receive_all();
    EXPECT_THAT(answer, HasSubstr(" 400 ")) << headers;
    EXPECT_THAT(answer, HasSubstr("Connection: close")) << headers;
    EXPECT_THAT(answer, testing::Not(HasSubstr("Keep-Alive"))) << headers;
  }
  RawClient either(fixture.port());
  either.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
      "Transfer-Encoding: Chunked\r\n\r\n" +
      chunk);
  EXPECT_THAT(either.receive_all(), HasSubstr("there is no field 'a' here"));
  for (const std::string& body :
       {std::string("0x8\r\n{\"a\": 1}\r\n0\r\n\r\n"), std::string("8\r\n{\"a\": 1}\n0\r\n\r\n"),
        std::string("8\r\n{\"a\": 1}XX\r\n0\r\n\r\n"), std::string("+8\r\n{\"a\": 1}\r\n0\r\n\r\n"),
        std::string("8\r\n{\"a\": 1}\r\n0\r\nno trailer\r\n\r\n")}) {
    RawClient client(fixture.port());
    client.send("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n" + chunked + "\r\n" + body);
    const std::string answer = client.receive_all();
    EXPECT_THAT(answer, HasSubstr(" 400 ")) << body;
    EXPECT_THAT(answer, HasSubstr("malformed")) << body;
    EXPECT_THAT(answer, HasSubstr("Connection: close")) << body;
  }
  for (const auto& [line, status] :
       {std::pair(std::string("GET /health HTTP/1.1\n\n"), " 400 "),
        std::pair(std::string("GET /health HTTP/1.1\r\n\r\n"), " 400 "),
        std::pair(std::string("GET /health HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), " 400 "),
        std::pair(std::string("GET /health HTTP/1.1\r\nHost: a\r\nX-A\r\n\r\n"), " 400 "),
        std::pair(std::string("GET /health HTTP/2.0\r\nHost: a\r\n\r\n"), " 505 "),
        std::pair("GET /" + std::string(70'000, 'x') + " HTTP/1.1\r\n\r\n", " 414 ")}) {
    RawClient client(fixture.port());
    client.send(line);
    EXPECT_THAT(client.receive_all(), HasSubstr(status));
  }
  RawClient none(fixture.port());  // as `curl -X POST` sends it
  none.send("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_THAT(none.receive_all(), HasSubstr(" 411 "));
}

TEST(Server, RequestsFollowEachOtherExactly) {
  const Fixture fixture;
  const std::string get = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const std::string post =
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
      "8\r\n{\"prompt\r\nb;x=y\r\n\": \"abcde\"}\r\n0\r\nX-Sum: 1\r\n\r\n";
  RawClient client(fixture.port());
  client.send(get + post + get + post + "GET http://localhost/health HTTP/1.1\r\nHost: evil\r\n" +
              "Connection: x, Close\r\n\r\n" + get);
  const std::string answers = client.receive_all();
  const auto count = [&](std::string_view text) {
    int found = 0;
    for (size_t at = 0; (at = answers.find(text, at)) != std::string::npos; ++at) ++found;
    return found;
  };
  EXPECT_EQ(count("HTTP/1.1 200 "), 5) << answers;
  EXPECT_EQ(count("HTTP/1.1 "), 5) << answers;
  EXPECT_EQ(count("\"count\""), 2) << answers;
  EXPECT_EQ(count("Connection: close"), 1) << answers;
}

TEST(Server, ABodyIsAskedForOnlyIfItIsWanted) {
  const Fixture fixture;
  const auto head = [](const std::string& length) {
    return "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nExpect: "
           "100-continue\r\nContent-Length: " +
           length + "\r\n\r\n";
  };
  RawClient wanted(fixture.port()), unwanted(fixture.port());
  wanted.send(head("13"));
  EXPECT_EQ(wanted.receive(), "HTTP/1.1 100 Continue\r\n\r\n");
  wanted.send(R"({"prompt":""})");
  EXPECT_THAT(wanted.receive(), HasSubstr("HTTP/1.1 200 "));
  unwanted.send(head("99999999"));
  const std::string refusal = unwanted.receive_all();
  EXPECT_TRUE(refusal.starts_with("HTTP/1.1 413 ")) << refusal;
}

TEST(Server, OldAndOddClientsAreServed) {
  const Fixture fixture;
  const std::string body = R"({"prompt":"abc","max_tokens":3,"ignore_eos":true,"stream":true})";
  RawClient old(fixture.port());
  old.send(fmt::format("POST /v1/completions HTTP/1.0\r\nContent-Length: {}\r\n\r\n{}", body.size(),
                       body));
  const std::string answer = old.receive_all();
  EXPECT_THAT(answer, HasSubstr(" 200 "));
  EXPECT_THAT(answer, testing::Not(HasSubstr("chunked")));
  EXPECT_TRUE(answer.ends_with("data: [DONE]\n\n")) << answer;
  const httplib::Headers ranges = {{"Range", "lines=1-2"}};
  EXPECT_EQ(fixture.client().Get("/health", ranges)->status, 200);
  const std::string whole = R"({"prompt":"abc","max_tokens":1})";
  for (const char* coding : {"identity", "Identity", ""}) {
    EXPECT_EQ(fixture.post("/v1/completions", whole, {{"Content-Encoding", coding}})->status, 200)
        << coding;
  }
  for (const char* coding : {"gzip", "br", "identity, gzip"}) {
    EXPECT_EQ(fixture.post("/v1/completions", whole, {{"Content-Encoding", coding}})->status, 415)
        << coding;
  }
}

TEST(Server, PathsAreFoundOrNamed) {
  const Fixture fixture;
  const std::string body = R"({"prompt":"abc","max_tokens":1})";
  for (const char* path :
       {"/completions", "/v1/completions/", "//v1//completions", "/v1/v1/completions"}) {
    EXPECT_EQ(fixture.post(path, body)->status, 200) << path;
  }
  for (const char* path :
       {"/models", "/v1/models/", "/models/org/tiny.gguf", "/v1/health", "/engine/"}) {
    EXPECT_EQ(fixture.client().Get(path)->status, 200) << path;
  }
  for (const auto& [path, hint] :
       {std::pair("/api/chat", "POST /v1/chat/completions"),
        std::pair("/completion", "POST /v1/completions"),
        std::pair("/v1/responses", "POST /v1/chat/completions"), std::pair("/nowhere", "/v1")}) {
    const auto answer = fixture.post(path, body);
    EXPECT_EQ(answer->status, 404) << path;
    EXPECT_THAT(answer->body, HasSubstr(hint)) << path;
  }
  for (const char* path : {"/props", "/api/tags", "/slots"}) {
    const auto answer = fixture.client().Get(path);
    EXPECT_EQ(answer->status, 404) << path;
    EXPECT_THAT(answer->body, HasSubstr("here it is GET /")) << path;
  }
  const auto method = fixture.client().Get("/chat/completions");
  EXPECT_EQ(method->status, 404);
  EXPECT_THAT(method->body, HasSubstr("takes POST, not GET"));
  EXPECT_THAT(fixture.post("/health/", body)->body, HasSubstr("takes GET, not POST"));
  EXPECT_EQ(fixture.client().Get("/v1/models/other")->status, 404);
}

TEST(Server, SilentAndSlowClientsTakeNoPlace) {
  ServerSpec spec;
  spec.server.http.connections = 3;
  const Fixture fixture(spec);
  std::list<RawClient> clients;
  for (int i = 0; i < 40; ++i) {
    clients.emplace_back(fixture.port());
    if (i % 2 == 0) clients.back().send("GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
  }
  EXPECT_EQ(fixture.post("/v1/completions", R"({"prompt":"a","max_tokens":1})")->status, 200);
  EXPECT_EQ(fixture.client().Get("/health")->status, 200);
}

TEST(Server, OfThoseWhoSayNothingTheOldestGo) {
  ServerSpec spec;
  spec.server.http.waiting = 10;
  const Fixture fixture(spec);
  RawClient oldest(fixture.port());
  std::list<RawClient> clients;
  for (int i = 0; i < 10; ++i) clients.emplace_back(fixture.port());
  EXPECT_EQ(oldest.receive_all(), "");
  clients.back().send("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(clients.back().receive_all(), HasSubstr(" 200 "));
}

TEST(Server, ProbesAreAnsweredWhenAllPlacesAreTaken) {
  ServerSpec spec;
  spec.server.http.connections = 2;
  const Fixture fixture(spec);
  std::list<RawClient> streams;
  for (int i = 0; i < 2; ++i) {
    streams.emplace_back(fixture.port());
    streams.back().send(http(kLong));
    EXPECT_THAT(streams.back().receive(), HasSubstr(" 200 "));
  }
  for (const char* path : {"/health", "/metrics", "/v1/health/"}) {
    RawClient probe(fixture.port());
    const std::string get = fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    probe.send(get + get);
    const std::string answer = probe.receive_all();  // one: the place is for the next probe
    EXPECT_THAT(answer, HasSubstr(" 200 ")) << path;
    EXPECT_THAT(answer, HasSubstr("Connection: close")) << path;
    EXPECT_EQ(answer.find("HTTP/1.1 "), answer.rfind("HTTP/1.1 ")) << path;
  }
  EXPECT_EQ(fixture.client().Get("/v1/models")->status, 503);
}

// Two places are held by streams, so that places stay scarce when the first of the two others has
// gone.
TEST(Server, IdleConnectionsGoWherePlacesAreScarce) {
  ServerSpec spec;
  spec.server.http.connections = 4;
  spec.server.http.idle_time = spec.server.http.header_time = std::chrono::hours(1);
  spec.server.http.scarce_time = std::chrono::seconds(1);
  const Fixture fixture(spec);
  const std::string get = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
  RawClient idle(fixture.port()), half(fixture.port());
  idle.send(get);
  EXPECT_THAT(idle.receive_until("}"), HasSubstr(" 200 "));
  half.send(get + "GET /hea");
  EXPECT_THAT(half.receive(), HasSubstr(" 200 "));
  std::list<RawClient> streams;
  for (int i = 0; i < 2; ++i) {
    streams.emplace_back(fixture.port(), "127.0.0.2");  // one client may not take the last place
    streams.back().send(http(kLong));
    EXPECT_THAT(streams.back().receive(), HasSubstr(" 200 "));
  }
  EXPECT_THAT(half.receive_all(), HasSubstr(" 408 "));
  EXPECT_EQ(idle.receive_all(), "");
  EXPECT_EQ(fixture.client().Get("/v1/models")->status, 200);
}

TEST(Server, TooManyConnectionsAreTurnedAway) {
  ServerSpec spec;
  spec.server.http.connections = 2;
  const Fixture fixture(spec);
  RawClient first(fixture.port()), second(fixture.port());
  first.send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  second.send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_THAT(first.receive(), HasSubstr(" 200 "));
  EXPECT_THAT(second.receive(), HasSubstr(" 200 "));
  RawClient third(fixture.port());
  third.send("GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n");
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
    for (const RawClient& client : clients)
      client.send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
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
