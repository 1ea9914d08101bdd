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
  ApiKeys() = default;  // none: everybody may
  // One key a line; blank lines and those that begin with # do not count. Throws Error if the file
  // cannot be read or holds no key.
  static ApiKeys read(const std::filesystem::path& file);

  bool empty() const { return digests_.empty(); }
  // Whether an Authorization header carries one of the keys. Takes the same time whichever part of
  // a wrong key is right.
  bool admit(std::string_view authorization) const;

 private:
  std::vector<std::array<unsigned char, 32>> digests_;
};

// Whether a browser's `origin` ("http://localhost:8080") is a page of the server itself, which the
// client calls `host`. A request without an origin comes from no page.
bool is_own_origin(std::string_view origin, std::string_view host);

}  // namespace tessera::serve
