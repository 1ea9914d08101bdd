// One HTTP request, redirects included: the step below http.h, which adds retries and files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/function_ref.h"
#include "files/http.h"

namespace tessera {

struct HttpResponse {
  long status = 0;
  // Names in lower case. x-linked-etag may come from any hop, the others come from the last one.
  std::unordered_map<std::string, std::string> headers;
  // Why the transfer broke off; empty if it did not.
  std::string broken;
  // It broke off before there was a connection.
  bool unreachable = false;

  bool ok() const { return broken.empty() && status / 100 == 2; }
  // Would the same request perhaps succeed a little later?
  bool may_pass() const;
  std::string header(const std::string& name) const;  // "" if absent
  std::optional<uint64_t> content_length() const;
  // One phrase for an error message: "HTTP 404 (not found)".
  std::string reason() const;
};

// Called with each piece of a 2xx body. May throw: the transfer ends and the exception passes on.
using BodySink = FunctionRef<void(const HttpResponse&, std::string_view piece)>;

// GET with extra "Name: value" headers. Broken transfers and error statuses come back in the
// response; Error only for what no retry mends: a forbidden URL, too many redirects.
HttpResponse http_request(std::string url, const std::vector<std::string>& headers,
                          const HttpOptions& options, BodySink sink);

// A non-negative decimal number, and nothing else.
std::optional<uint64_t> parse_uint(std::string_view text);

}  // namespace tessera
