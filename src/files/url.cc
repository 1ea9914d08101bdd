#include "files/url.h"

#include <curl/curl.h>

#include <cctype>
#include <memory>

#include "base/error.h"
#include "base/printable.h"

namespace tessera {
namespace {

using CurlUrl = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

}  // namespace

Url parse_url(std::string_view text) {
  const CurlUrl parsed(curl_url(), curl_url_cleanup);
  if (parsed == nullptr ||
      curl_url_set(parsed.get(), CURLUPART_URL, std::string(text).c_str(), 0) != CURLUE_OK) {
    fail("'{}' is not a valid http(s) URL", text);
  }
  const auto part = [&](CURLUPart which, unsigned flags) {
    char* value = nullptr;
    if (curl_url_get(parsed.get(), which, &value, flags) != CURLUE_OK) return std::string();
    std::string result(value);
    curl_free(value);
    return result;
  };
  Url url{part(CURLUPART_SCHEME, 0), part(CURLUPART_HOST, 0),
          part(CURLUPART_PORT, CURLU_DEFAULT_PORT), part(CURLUPART_PATH, CURLU_URLDECODE)};
  // A path that does not decode (it holds "%00") comes back empty.
  const bool complete = !url.host.empty() && url.path.starts_with('/');
  if ((url.scheme != "https" && url.scheme != "http") || !complete) {
    fail("'{}' is not a valid http(s) URL", text);
  }
  if (!part(CURLUPART_USER, 0).empty() || !part(CURLUPART_PASSWORD, 0).empty()) {
    fail("the URL for '{}' holds a user name or password, which is not supported", url.host);
  }
  return url;
}

std::string resolve_link(const std::string& base, const std::string& link) {
  const CurlUrl url(curl_url(), curl_url_cleanup);
  char* text = nullptr;
  if (url == nullptr || curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK ||
      curl_url_set(url.get(), CURLUPART_URL, link.c_str(), 0) != CURLUE_OK ||
      curl_url_get(url.get(), CURLUPART_URL, &text, 0) != CURLUE_OK) {
    fail("'{}' holds a link that is not valid: '{}'", base, printable(link));
  }
  std::string result(text);
  curl_free(text);
  return result;
}

std::string escape_path(std::string_view path) {
  std::string result;
  for (const unsigned char c : path) {
    if (std::isalnum(c) != 0 || c == '/' || c == '-' || c == '_' || c == '.' || c == '~') {
      result += static_cast<char>(c);
    } else {
      result += fmt::format("%{:02X}", c);
    }
  }
  return result;
}

}  // namespace tessera
