#include "files/http_request.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <exception>
#include <memory>

#include "base/error.h"
#include "files/url.h"

namespace tessera {
namespace {

constexpr int kMaxRedirects = 8;
constexpr size_t kMaxHeaders = 200;

struct CurlDelete {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

// What the callbacks share during one hop.
struct Hop {
  CURL* curl;
  HttpResponse response;
  BodySink sink;
  std::exception_ptr thrown;
};

size_t on_header(const char* data, size_t, size_t size, void* user) {
  auto& headers = static_cast<Hop*>(user)->response.headers;
  const std::string_view line(data, size);
  if (line.starts_with("HTTP/")) headers.clear();  // the answer after an interim one (100 Continue)
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || headers.size() >= kMaxHeaders) return size;
  std::string name(line.substr(0, colon));
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  const size_t begin = line.find_first_not_of(" \t", colon + 1);
  const size_t end = line.find_last_not_of(" \t\r\n");
  headers[name] =
      begin == std::string_view::npos || end < begin ? "" : line.substr(begin, end - begin + 1);
  return size;
}

size_t on_body(const char* data, size_t, size_t size, void* user) {
  auto& hop = *static_cast<Hop*>(user);
  curl_easy_getinfo(hop.curl, CURLINFO_RESPONSE_CODE, &hop.response.status);
  if (hop.response.status / 100 != 2) return size;  // an error page: of no use
  try {                                             // an exception must not cross libcurl's C code
    hop.sink(hop.response, std::string_view(data, size));
    return size;
  } catch (...) {
    hop.thrown = std::current_exception();
    return CURL_WRITEFUNC_ERROR;
  }
}

// Plain http can be read and changed on its way: only where there is no way, or by the user's wish.
void require_allowed(const Url& url, bool redirected_from_https, const HttpOptions& options) {
  if (url.scheme == "https") return;
  const bool trusted = url.is_loopback() || url.origin() == options.token_origin;
  if (!trusted || redirected_from_https)
    fail("plain http to '{}' is refused; expected https", url.host);
}

// Errors of the line or of the server, as opposed to errors in what was asked for.
bool is_permanent(CURLcode code) {
  static constexpr std::array kPermanent = {
      CURLE_UNSUPPORTED_PROTOCOL,     CURLE_URL_MALFORMAT,      CURLE_OUT_OF_MEMORY,
      CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CERTPROBLEM,
  };
  return std::ranges::find(kPermanent, code) != kPermanent.end();
}

// One request without following its redirect; `location` gets the absolute URL of that, if any.
HttpResponse request_once(const std::string& url, const Url& parsed,
                          const std::vector<std::string>& headers, const HttpOptions& options,
                          BodySink sink, std::string& location) {
  [[maybe_unused]] static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::unique_ptr<CURL, CurlDelete> curl(curl_easy_init());
  if (curl == nullptr) fail("cannot start a download: libcurl does not initialize");
  Hop hop{curl.get(), {}, sink, nullptr};
  const auto set = [&](CURLoption option, auto value) {
    curl_easy_setopt(curl.get(), option, value);
  };

  std::unique_ptr<curl_slist, CurlDelete> list;
  for (const std::string& header : headers)
    list.reset(curl_slist_append(list.release(), header.c_str()));
  set(CURLOPT_HTTPHEADER, list.get());
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_USERAGENT, "tessera");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(options.connect_timeout.count()));
  set(CURLOPT_QUICK_EXIT, 1L);  // or a name server that is silent would be waited for after that
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.stall_timeout.count()));
  set(CURLOPT_BUFFERSIZE, 512L << 10);
  set(CURLOPT_HEADERFUNCTION, on_header);
  set(CURLOPT_HEADERDATA, &hop);
  set(CURLOPT_WRITEFUNCTION, on_body);
  set(CURLOPT_WRITEDATA, &hop);
  if (parsed.is_loopback()) set(CURLOPT_NOPROXY, "*");
  if (!options.token.empty() && parsed.origin() == options.token_origin) {
    set(CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    set(CURLOPT_XOAUTH2_BEARER, options.token.c_str());
  }

  const CURLcode code = curl_easy_perform(curl.get());
  if (hop.thrown) std::rethrow_exception(hop.thrown);
  if (is_permanent(code)) fail("cannot download '{}': {}", url, curl_easy_strerror(code));
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &hop.response.status);
  if (code != CURLE_OK) {
    curl_off_t connected = 0;  // when, in microseconds from the start
    curl_easy_getinfo(curl.get(), CURLINFO_PRETRANSFER_TIME_T, &connected);
    hop.response.unreachable = connected == 0;
    hop.response.broken =
        connected > 0 ? curl_easy_strerror(code)
                      : fmt::format("cannot reach {} ({})", parsed.host, curl_easy_strerror(code));
  }
  const char* redirect = nullptr;
  curl_easy_getinfo(curl.get(), CURLINFO_REDIRECT_URL, &redirect);
  location = redirect == nullptr ? "" : redirect;
  return std::move(hop.response);
}

}  // namespace

bool HttpResponse::may_pass() const {
  return !broken.empty() || status == 408 || status == 429 || (status >= 500 && status != 501);
}

std::string HttpResponse::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

std::optional<uint64_t> HttpResponse::content_length() const {
  return parse_uint(header("content-length"));
}

std::string HttpResponse::reason() const {
  if (!broken.empty()) return broken;
  switch (status) {
    case 401:
      return "HTTP 401 (needs a valid token: set HF_TOKEN)";
    case 403:
      return "HTTP 403 (access denied: accept the model's terms on its page, and set HF_TOKEN)";
    case 404:
      return "HTTP 404 (not found)";
    case 429:
      return "HTTP 429 (too many requests)";
    default:
      return fmt::format("HTTP {}", status);
  }
}

HttpResponse http_request(std::string url, const std::vector<std::string>& headers,
                          const HttpOptions& options, BodySink sink) {
  std::string linked_etag;
  bool was_https = false;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    const Url parsed = parse_url(url);
    require_allowed(parsed, was_https, options);
    was_https = parsed.scheme == "https";
    std::string location;
    HttpResponse response = request_once(url, parsed, headers, options, sink, location);
    if (const std::string etag = response.header("x-linked-etag"); !etag.empty())
      linked_etag = etag;
    if (response.status / 100 != 3 || location.empty()) {
      response.headers["x-linked-etag"] = linked_etag;
      return response;
    }
    url = location;
  }
  fail("'{}': more than {} redirects", url, kMaxRedirects);
}

std::optional<uint64_t> parse_uint(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace tessera
