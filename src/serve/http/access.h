// Who may talk to the server.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::serve {

// API keys, kept as their SHA-256.
class ApiKeys {
 public:
  struct Key {
    std::array<unsigned char, 32> digest;
    bool may_prioritize = false;

    // Tells its holder from others.
    std::string client() const { return {digest.begin(), digest.end()}; }
  };

  ApiKeys() = default;  // none: everybody may
  // One key a line, and behind a blank `priority` if its holder may ask to be served before others;
  // blanks around it, blank lines and those that begin with # do not count, nor does the byte order
  // mark of an editor. Throws Error if the file cannot be read or holds no key.
  static ApiKeys read(const std::filesystem::path& file);

  bool empty() const { return keys_.empty(); }
  // The key that an Authorization header carries: "Bearer KEY" (RFC 6750), the scheme in any case
  // (RFC 9110, 11.1). Null if it is none of these. Takes the same time whichever part of a wrong
  // key is right.
  const Key* find(std::string_view authorization) const;

 private:
  std::vector<Key> keys_;
};

// What a client may call the server in its Host header.
//
// A page of evil.example can have its name resolve to 127.0.0.1 after it was loaded (DNS
// rebinding). For the browser it then talks to its own server, no rule of origins stands in the
// way, and only the name tells. An address as the host is beyond such tricks: nobody else can
// answer for it.
class AllowedHosts {
 public:
  // `listening`: what the server was told to listen on. Unless that is this machine alone, any
  // address will do, for a server does not know all that lead to it. `others`: more names; "*":
  // all.
  AllowedHosts(std::string listening, std::vector<std::string> others);

  // `host` as the header has it, with or without a port, whatever its case.
  bool admit(std::string_view host) const;

 private:
  std::vector<std::string> names_;  // in lower case
  bool all_ = false, addresses_ = false;
};

// Whether a browser's `origin` ("http://localhost:8080") is a page of the server itself, which the
// client calls `host`. A request without an origin comes from no page.
bool is_own_origin(std::string_view origin, std::string_view host);

}  // namespace tessera::serve
