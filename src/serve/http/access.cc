#include "serve/http/access.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <fstream>

#include "base/error.h"

namespace tessera::serve {
namespace {

std::array<unsigned char, 32> digest(std::string_view text) {
  std::array<unsigned char, 32> out{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data());
  return out;
}

}  // namespace

ApiKeys ApiKeys::read(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) fail("cannot read the API keys in '{}'", file.string());
  ApiKeys keys;
  for (std::string line; std::getline(in, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty() && line.front() != '#') keys.digests_.push_back(digest(line));
  }
  if (keys.empty()) fail("there is no API key in '{}', expected one a line", file.string());
  return keys;
}

bool ApiKeys::admit(std::string_view authorization) const {
  if (empty()) return true;
  constexpr std::string_view kScheme = "Bearer ";
  if (!authorization.starts_with(kScheme)) return false;
  const auto given = digest(authorization.substr(kScheme.size()));
  int matches = 0;
  for (const auto& key : digests_) {
    matches += CRYPTO_memcmp(key.data(), given.data(), given.size()) == 0 ? 1 : 0;
  }
  return matches > 0;
}

bool is_own_origin(std::string_view origin, std::string_view host) {
  const size_t scheme = origin.find("://");
  return scheme != std::string_view::npos && origin.substr(scheme + 3) == host;
}

}  // namespace tessera::serve
