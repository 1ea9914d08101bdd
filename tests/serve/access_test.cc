// Who may talk to the server.
#include "serve/http/access.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "support/temp_folder.h"

namespace tessera::serve {
namespace {

TEST(Access, KeysComeFromAFile) {
  const test::TempFolder folder;
  const ApiKeys keys = ApiKeys::read(folder.write("keys", "# staff\nsecret-1\r\n\nsecret-2"));
  EXPECT_NE(keys.find("Bearer secret-1"), nullptr);
  EXPECT_NE(keys.find("Bearer secret-2"), nullptr);
  for (const char* header :
       {"", "Bearer", "Bearer ", "secret-1", "Bearer secret-", "Bearer # staff", "Basic secret-1",
        "Bearersecret-1", "Bearer secret-1 "}) {
    EXPECT_EQ(keys.find(header), nullptr) << header;
  }
  for (const char* header : {"bearer secret-1", "BEARER secret-2", "Bearer    secret-1"}) {
    EXPECT_NE(keys.find(header), nullptr) << header;
  }
  EXPECT_TRUE(ApiKeys().empty());
  EXPECT_THROW(ApiKeys::read(folder.write("none", "#\n\n")), Error);
  EXPECT_THROW(ApiKeys::read(folder / "missing"), Error);
}

TEST(Access, KeysAreThoseWhateverTheEditor) {
  const test::TempFolder folder;
  for (const char* text : {"\xEF\xBB\xBFkey-1\r\nkey-2\r\n", "\xEF\xBB\xBF# ours\nkey-1\nkey-2",
                           "  key-1\t\n\tkey-2 \r\n", "key-1\r\n\r\nkey-2\r"}) {
    const ApiKeys keys = ApiKeys::read(folder.write("keys", text));
    EXPECT_NE(keys.find("Bearer key-1"), nullptr) << text;
    EXPECT_NE(keys.find("Bearer key-2"), nullptr) << text;
    EXPECT_EQ(keys.find("Bearer # ours"), nullptr) << text;
  }
  EXPECT_THROW(ApiKeys::read(folder.write("utf-16", std::string("\xFF\xFEk\0", 4))), Error);
}

TEST(Access, AKeyTellsItsHolderAndWhatHeMay) {
  const test::TempFolder folder;
  const ApiKeys keys = ApiKeys::read(folder.write(
      "keys", "plain\nurgent priority\ntabbed\t priority \r\npriority\nmy-priority\n"));
  for (const auto& [key, may] :
       {std::pair("plain", false), std::pair("urgent", true), std::pair("tabbed", true),
        std::pair("priority", false), std::pair("my-priority", false)}) {
    const auto* found = keys.find(std::string("Bearer ") + key);
    ASSERT_NE(found, nullptr) << key;
    EXPECT_EQ(found->may_prioritize, may) << key;
    EXPECT_EQ(found->client(), keys.find(std::string("bearer ") + key)->client());
  }
  EXPECT_NE(keys.find("Bearer plain")->client(), keys.find("Bearer urgent")->client());
  EXPECT_EQ(keys.find("Bearer urgent priority"), nullptr);
}

TEST(Access, ALocalServerIsCalledByLocalNames) {
  for (const char* listening : {"127.0.0.1", "localhost", "::1", "[::1]", "127.0.0.2"}) {
    const AllowedHosts hosts(listening, {});
    for (const char* host : {"localhost", "localhost:8080", "LocalHost.", "127.0.0.1:1",
                             "127.9.9.9", "[::1]", "[::1]:8080", "tessera.localhost:80"}) {
      EXPECT_TRUE(hosts.admit(host)) << listening << " " << host;
    }
    for (const char* host :
         {"", ":8080", "evil.example", "evil.example:8080", "localhost.evil.example",
          "127.0.0.1.evil.example", "127.evil", "127.0.0.evil", "evil-localhost", "10.0.0.1",
          "0.0.0.0", "[::2]:80", "[::1", "[::1]x", "localhost:evil", "*"}) {
      EXPECT_FALSE(hosts.admit(host)) << listening << " " << host;
    }
  }
}

TEST(Access, AServerOfTheNetworkIsCalledByAddressesAndItsName) {
  for (const char* listening : {"0.0.0.0", "::", "192.168.1.5", "llm.lan"}) {
    const AllowedHosts hosts(listening, {"Other.Name:9000"});
    for (const char* host :
         {"10.0.0.1:8080", "[2001:db8::1]:80", "localhost", "other.name", "OTHER.name:1"}) {
      EXPECT_TRUE(hosts.admit(host)) << listening << " " << host;
    }
    EXPECT_EQ(hosts.admit("llm.lan:8080"), std::string(listening) == "llm.lan");
    EXPECT_FALSE(hosts.admit("evil.example"));
    EXPECT_FALSE(hosts.admit("10.0.0.1.evil.example"));
  }
  EXPECT_TRUE(AllowedHosts("127.0.0.1", {"*"}).admit("anything.example:1"));
}

TEST(Access, OnlyItsOwnPagesAreOfTheSameOrigin) {
  EXPECT_TRUE(is_own_origin("http://localhost:8080", "localhost:8080"));
  EXPECT_FALSE(is_own_origin("http://localhost:8080.evil.example", "localhost:8080"));
  EXPECT_FALSE(is_own_origin("http://evil.example", "localhost:8080"));
  EXPECT_FALSE(is_own_origin("null", "localhost:8080"));
}

}  // namespace
}  // namespace tessera::serve
