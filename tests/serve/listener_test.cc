// Where a server can listen, and what it says where it cannot.
#include "serve/http/listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "base/error.h"

namespace tessera::serve {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string why_not(const std::string& host, int port) {
  try {
    listen_on(host, port);
  } catch (const Error& error) {
    return error.what();
  }
  return "it listens";
}

TEST(Listener, APortIsForOneServer) {
  for (const char* host : {"127.0.0.1", "0.0.0.0", "localhost"}) {
    const Socket first = listen_on(host, 0);
    const int port = own_address_of(first.get()).port;
    EXPECT_THAT(why_not(host, port), HasSubstr("another program listens there")) << host;
    EXPECT_THAT(why_not(host, port), HasSubstr(std::to_string(port)));
  }
}

TEST(Listener, APortIsForOneServerOnAnyAddress) {
  const Socket all = listen_on("0.0.0.0", 0);
  EXPECT_THAT(why_not("127.0.0.1", own_address_of(all.get()).port), HasSubstr("another program"));
  const Socket one = listen_on("127.0.0.1", 0);
  EXPECT_THAT(why_not("0.0.0.0", own_address_of(one.get()).port), HasSubstr("another program"));
}

TEST(Listener, APortIsFreeAgainAtOnce) {
  const int port = own_address_of(listen_on("127.0.0.1", 0).get()).port;
  EXPECT_EQ(why_not("127.0.0.1", port), "it listens");
}

TEST(Listener, SaysWhatIsWrong) {
  for (const char* host : {"no.such.host.invalid", "256.1.1.1", "http://localhost", "a b"}) {
    EXPECT_THAT(why_not(host, 0), HasSubstr("no such host")) << host;
    EXPECT_THAT(why_not(host, 0), HasSubstr(host));
  }
  EXPECT_THAT(why_not("203.0.113.7", 0), HasSubstr("does not have that address"));
  EXPECT_THAT(why_not_bound(EACCES), HasSubstr("may not take that port"));
  for (const int error : {EADDRINUSE, EACCES, EADDRNOTAVAIL, EAFNOSUPPORT, EMFILE}) {
    EXPECT_THAT(why_not_bound(error), Not(HasSubstr("\n")));
    EXPECT_FALSE(why_not_bound(error).empty());
  }
}

TEST(Listener, UrlsHaveTheirAddressInBrackets) {
  EXPECT_EQ(url_of("127.0.0.1", 80), "http://127.0.0.1:80");
  EXPECT_EQ(url_of("::1", 8101), "http://[::1]:8101");
  EXPECT_EQ(url_of("[::1]", 8101), "http://[::1]:8101");
  EXPECT_EQ(url_of("fe80::1%eth0", 1), "http://[fe80::1%eth0]:1");
  EXPECT_EQ(url_of("localhost", 8080), "http://localhost:8080");
}

TEST(Listener, TakesIpv6WithAndWithoutBrackets) {
  if (why_not("::1", 0) != "it listens") GTEST_SKIP() << "there is no IPv6 here";
  EXPECT_EQ(why_not("[::1]", 0), "it listens");
  const Socket first = listen_on("::1", 0);
  EXPECT_THAT(why_not("::1", own_address_of(first.get()).port), HasSubstr("http://[::1]:"));
}

}  // namespace
}  // namespace tessera::serve
