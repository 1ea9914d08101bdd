// What is HTTP and what is not, byte by byte.
#include "serve/http/framing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "serve/http/api_error.h"

namespace tessera::serve {
namespace {

using testing::HasSubstr;

// 0: none was thrown.
int status_of(const auto& action) {
  try {
    action();
  } catch (const ApiError& error) {
    return error.status;
  }
  return 0;
}

std::string get(const std::string& headers) {
  return "GET /health HTTP/1.1\r\n" + headers + "\r\n";
}

int status_of_head(const std::string& text) {
  return status_of([&] { parse_head(text); });
}

TEST(Framing, AHeadSaysWhatItSays) {
  const RequestHead head = parse_head(
      "POST /v1/a%20b?x=1 HTTP/1.1\r\nhost: h:1\r\nX-A:  b c \t\r\nX-Empty:\r\n"
      "Content-Length: 12\r\nConnection: foo, Close\r\nExpect: 100-Continue\r\n\r\n");
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.target, "/v1/a%20b?x=1");
  EXPECT_EQ(head.version, "HTTP/1.1");
  EXPECT_EQ(*head.find("x-a"), "b c");
  EXPECT_EQ(*head.find("X-EMPTY"), "");
  EXPECT_EQ(head.find("X-B"), nullptr);
  EXPECT_EQ(head.content_length, 12u);
  EXPECT_TRUE(head.closes);
  EXPECT_TRUE(head.expects_continue);
  EXPECT_TRUE(
      parse_head("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n").is_chunked);
  EXPECT_FALSE(parse_head(get("Host: a\r\nConnection: closed, keep-alive\r\n")).closes);
  EXPECT_TRUE(parse_head("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").closes);
}

TEST(Framing, AnAbsoluteUrlNamesPathAndHost) {
  for (const auto& [target, path, host] :
       {std::tuple("http://a.example:80/v1/models", "/v1/models", "a.example:80"),
        std::tuple("HTTPS://[::1]/", "/", "[::1]"), std::tuple("http://b", "/", "b"),
        std::tuple("http://b?x=/y", "/?x=/y", "b")}) {
    const RequestHead head =
        parse_head(std::string("GET ") + target + " HTTP/1.1\r\nHost: other\r\n\r\n");
    EXPECT_EQ(head.target, path);
    EXPECT_EQ(*head.find("Host"), host) << target;
  }
}

TEST(Framing, WhatHasTwoReadingsIsRefused) {
  using namespace std::string_literals;
  const std::string host = "Host: a\r\n";
  for (const std::string& headers :
       {""s,
        host + host,
        host + "X-A\r\n",
        host + "no colon here\r\n",
        host + ": value\r\n",
        host + " : value\r\n",
        host + "X-A : b\r\n",
        host + "X-A\t: b\r\n",
        host + "X A: b\r\n",
        host + "X-A: b\r\n folded\r\n",
        " Host: a\r\n"s,
        host + "\tX: a\r\n",
        host + "X-A: b\0c\r\n"s,
        host + "X\0A: b\r\n"s,
        host + "X-A: b\x01\r\n",
        host + "X-A: b\rc\r\n",
        host + "X-A: b\r\r\n",
        host + "X-A: \x7f\r\n",
        host + "X(A): b\r\n",
        host + "X-\xc3\xa9: b\r\n",
        "Host: a b\r\n"s,
        "Host: a,b\r\n"s,
        "Host: user@a\r\n"s,
        "Host: a/b\r\n"s,
        host + "Content-Length: \r\n",
        host + "Content-Length: -1\r\n",
        host + "Content-Length: +1\r\n",
        host + "Content-Length: 0x1\r\n",
        host + "Content-Length: 1 1\r\n",
        host + "Content-Length: 1, 1\r\n",
        host + "Content-Length: 1.0\r\n",
        host + "Content-Length: 1\r\nContent-Length: 1\r\n",
        host + "Content-Length: 1\r\nTransfer-Encoding: \r\n",
        host + "Transfer-Encoding:\r\n",
        host + "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        host + "Transfer-Encoding: chunked, chunked\r\n",
        host + "Transfer-Encoding: gzip, chunked\r\n",
        host + "Transfer-Encoding: xchunked\r\n",
        host + "Transfer-Encoding: \"chunked\"\r\n",
        host + "Transfer-Encoding: chunked;a=b\r\n",
        host + "Transfer-Encoding: identity\r\n",
        host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        host + "Authorization: a\r\nAuthorization: b\r\n",
        host + "Origin: a\r\nOrigin: b\r\n"}) {
    EXPECT_EQ(status_of_head(get(headers)), 400) << testing::PrintToString(headers);
  }
  for (const char* line :
       {"", "GET", "GET /", "GET  / HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1",
        "GET /a b HTTP/1.1", "GET\t/\tHTTP/1.1", "GET /\x01 HTTP/1.1", "G@T / HTTP/1.1",
        "GET / http/1.1", "GET / HTTP/1.10", "GET / HTTP/x.1", "GET health HTTP/1.1",
        "GET ftp://a/ HTTP/1.1", "GET http:///health HTTP/1.1", "GET * HTTP/1.1",
        "GET http://u@a/ HTTP/1.1", "CONNECT a:80 HTTP/1.1"}) {
    EXPECT_EQ(status_of_head(std::string(line) + "\r\nHost: a\r\n\r\n"), 400) << line;
  }
  EXPECT_EQ(status_of_head("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
  EXPECT_EQ(status_of_head("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  EXPECT_EQ(status_of_head(get(host + "Expect: more\r\n")), 417);
  EXPECT_EQ(status_of_head(get(host + "Content-Length: 0\r\n")), 0);
  EXPECT_EQ(status_of_head(get("Host:\r\n")), 0);
  EXPECT_EQ(status_of_head("GET / HTTP/1.0\r\n\r\n"), 0);
  EXPECT_EQ(status_of_head("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), 0);
}

TEST(Framing, AHeadEndsAtItsBlankLineHoweverItComes) {
  const std::string head = get("Host: a\r\n");
  HeadScanner scanner(1000);
  for (size_t size = 0; size < head.size(); ++size) {
    EXPECT_EQ(scanner.scan(head.substr(0, size)), 0u);
  }
  EXPECT_EQ(scanner.scan(head + "more"), head.size());
  EXPECT_EQ(HeadScanner(1000).scan(head + head), head.size());
  EXPECT_EQ(HeadScanner(1000).scan("\r\n\r\n"), 2u);
  for (const char* text :
       {"\n", "GET / HTTP/1.1\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "a\r\n\n"}) {
    EXPECT_EQ(status_of([&] { HeadScanner(1000).scan(text); }), 400) << text;
  }
  EXPECT_EQ(status_of([] { HeadScanner(100).scan("GET /" + std::string(100, 'x')); }), 414);
  EXPECT_EQ(status_of([] { HeadScanner(100).scan(get("X: " + std::string(100, 'x'))); }), 431);
  EXPECT_EQ(HeadScanner(head.size()).scan(head), head.size());
}

struct Decoded {
  std::string content, rest;
  bool done = false;
  int status = 0;
};

// `step`: bytes that come at once.
Decoded decode(const RequestHead& head, const std::string& wire, size_t step, size_t most = 100) {
  Decoded result;
  BodyDecoder decoder(head, most);
  result.status = status_of([&] {
    for (size_t at = 0; at < wire.size(); at += step) {
      std::string_view part = std::string_view(wire).substr(at, step);
      while (!part.empty() && !decoder.is_done()) result.content += decoder.take(part, 3);
      result.rest += part;
    }
  });
  result.done = decoder.is_done();
  return result;
}

TEST(Framing, BodiesEndWhereTheySay) {
  RequestHead none, sized, chunked;
  sized.content_length = 5;
  chunked.is_chunked = true;
  EXPECT_TRUE(BodyDecoder(none, 100).is_done());
  for (size_t step : {1, 2, 3, 7, 100}) {
    const Decoded by_length = decode(sized, "helloGET", step);
    EXPECT_EQ(by_length.content, "hello");
    EXPECT_EQ(by_length.rest, "GET");
    for (const char* wire :
         {"5\r\nhello\r\n0\r\n\r\nGET", "2;a=b\r\nhe\r\n003\r\nllo\r\n0\r\n\r\nGET",
          "2\r\nhe\r\n3;x=\"y z\"\r\nllo\r\n00;z\r\nX-Sum: 1\r\nY: 2\r\n\r\nGET"}) {
      const Decoded by_chunks = decode(chunked, wire, step);
      EXPECT_EQ(by_chunks.status, 0) << wire;
      EXPECT_EQ(by_chunks.content, "hello") << wire;
      EXPECT_EQ(by_chunks.rest, "GET") << wire;
    }
    EXPECT_FALSE(decode(chunked, "5\r\nhello\r\n0\r\n", step).done);
    EXPECT_FALSE(decode(sized, "hell", step).done);
  }
}

TEST(Framing, ChunksThatHaveTwoReadingsAreRefused) {
  using namespace std::string_literals;
  RequestHead chunked;
  chunked.is_chunked = true;
  for (const std::string& wire : {"0x5\r\nhello\r\n"s,
                                  "+5\r\nhello\r\n"s,
                                  "-5\r\nhello\r\n"s,
                                  " 5\r\nhello\r\n"s,
                                  "5 \r\nhello\r\n"s,
                                  "5zzz\r\nhello\r\n"s,
                                  "5 ;a\r\nhello\r\n"s,
                                  "\r\nhello\r\n"s,
                                  ";a\r\n"s,
                                  "5\nhello\r\n"s,
                                  "5\r\nhello\n"s,
                                  "5\r\nhelloXX\r\n"s,
                                  "5\r\nhello\r\r\n"s,
                                  "5\r\nhello0\r\n"s,
                                  "5\rhello\r\n"s,
                                  "5;a\0b\r\nhello\r\n"s,
                                  "5;a\rb\r\nhello\r\n"s,
                                  "0\r\n\n"s,
                                  "0\r\nX\r\n\r\n"s,
                                  "0\r\n X: folded\r\n\r\n"s,
                                  "0\r\n: a\r\n\r\n"s,
                                  "0\r\nX: a\n\r\n"s,
                                  "0\r\nX : a\r\n\r\n"s,
                                  "5;" + std::string(300, 'x') + "\r\nhello\r\n",
                                  "g\r\n"s,
                                  "1e+1\r\n"s,
                                  "0\r\nX: " + std::string(5000, 'x') + "\r\n\r\n"}) {
    for (size_t step : {1, 2, 10'000}) {
      EXPECT_EQ(decode(chunked, wire, step).status, 400) << testing::PrintToString(wire);
    }
  }
}

TEST(Framing, ChunksAreBoundedWithWhatSurroundsThem) {
  RequestHead chunked;
  chunked.is_chunked = true;
  for (const char* wire : {"65\r\n", "ffffffffffffffff\r\n", "fffffffffffffffff\r\n",
                           "10000000000000000000000001\r\n", "60\r\n"}) {
    const std::string first = std::string("5\r\nhello\r\n");
    EXPECT_EQ(decode(chunked, first + wire, 1000).status, 413) << wire;
  }
  std::string surrounded;
  for (int i = 0; i < 90; ++i) surrounded += "1;" + std::string(250, 'x') + "\r\na\r\n";
  EXPECT_EQ(decode(chunked, surrounded, 1000).status, 0);
  std::string trailers = "0\r\n";
  for (int i = 0; i < 90; ++i) trailers += "X: " + std::string(1000, 'x') + "\r\n";
  EXPECT_EQ(decode(chunked, trailers, 1000).status, 413);
}

}  // namespace
}  // namespace tessera::serve
