#include "serve/http/access.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <strings.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <utility>

#include "base/error.h"

namespace tessera::serve {
namespace {

std::array<unsigned char, 32> digest(std::string_view text) {
  std::array<unsigned char, 32> out{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data());
  return out;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// "[::1]:8080" as "::1", "LocalHost.:8080" as "localhost"; empty if it is no host.
std::string name_in(std::string_view host) {
  const bool in_brackets = host.starts_with('[');
  // Several colons without brackets: an IPv6 address, as --host has it.
  const bool is_bare_ipv6 = !in_brackets && std::ranges::count(host, ':') > 1;
  const size_t end = in_brackets ? host.find(']') : is_bare_ipv6 ? host.size() : host.find(':');
  std::string_view name = host.substr(0, end);
  std::string_view port = host.substr(std::min(end, host.size()));
  if (in_brackets) {
    if (port.empty()) return {};
    name.remove_prefix(1);
    port.remove_prefix(1);
  }
  if (!port.empty() && (port[0] != ':' || port.find_first_not_of("0123456789", 1) != port.npos)) {
    return {};
  }
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower;
}

bool is_address(const std::string& name) {
  in6_addr any{};
  return ::inet_pton(AF_INET, name.c_str(), &any) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), &any) == 1;
}

// Resolvers know these without asking anybody (RFC 6761, 6.3).
bool is_loopback(const std::string& name) {
  return name == "localhost" || name.ends_with(".localhost") || name == "::1" ||
         (name.starts_with("127.") && is_address(name));
}

}  // namespace

ApiKeys ApiKeys::read(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) fail("cannot read the API keys in '{}'", file.string());
  ApiKeys keys;
  constexpr std::string_view kPriority = "priority";
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  bool is_first = true;
  for (std::string line; std::getline(in, line); is_first = false) {
    std::string_view key = line;
    if (is_first && (key.starts_with("\xFF\xFE") || key.starts_with("\xFE\xFF"))) {
      fail("the API keys in '{}' are UTF-16, expected UTF-8", file.string());
    }
    if (is_first && key.starts_with(kByteOrderMark)) key.remove_prefix(kByteOrderMark.size());
    key = trimmed(key);
    if (key.empty() || key.front() == '#') continue;
    const size_t blank = key.find_last_of(" \t");
    const bool may_prioritize =
        blank != std::string_view::npos && key.substr(blank + 1) == kPriority;
    if (may_prioritize) key = trimmed(key.substr(0, blank));
    keys.keys_.push_back({digest(key), may_prioritize});
  }
  if (keys.empty()) fail("there is no API key in '{}', expected one a line", file.string());
  return keys;
}

const ApiKeys::Key* ApiKeys::find(std::string_view authorization) const {
  constexpr std::string_view kScheme = "Bearer ";
  if (::strncasecmp(authorization.data(), kScheme.data(),
                    std::min(authorization.size(), kScheme.size())) != 0) {
    return nullptr;
  }
  const size_t key = authorization.find_first_not_of(' ', kScheme.size());
  if (key == std::string_view::npos) return nullptr;
  const auto given = digest(authorization.substr(key));
  const Key* found = nullptr;
  for (const Key& known : keys_) {
    if (CRYPTO_memcmp(known.digest.data(), given.data(), given.size()) == 0) found = &known;
  }
  return found;
}

AllowedHosts::AllowedHosts(std::string listening, std::vector<std::string> others)
    : names_(std::move(others)) {
  names_.push_back(std::move(listening));
  for (std::string& name : names_) name = name_in(name);
  all_ = std::ranges::find(names_, "*") != names_.end();
  addresses_ = !is_loopback(names_.back());
}

bool AllowedHosts::admit(std::string_view host) const {
  const std::string name = name_in(host);
  if (all_) return true;
  return !name.empty() && (is_loopback(name) || (addresses_ && is_address(name)) ||
                           std::ranges::find(names_, name) != names_.end());
}

bool is_own_origin(std::string_view origin, std::string_view host) {
  const size_t scheme = origin.find("://");
  return scheme != std::string_view::npos && origin.substr(scheme + 3) == host;
}

}  // namespace tessera::serve
