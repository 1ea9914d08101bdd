#include "serve/http/api_error.h"

#include <utility>

#include "serve/http/json.h"

namespace tessera::serve {

ApiError client_is_gone() {
  return {499, "invalid_request_error", "the client is gone"};
}

ApiError error_of_status(int status) {
  const std::string invalid = "invalid_request_error";
  switch (status) {
    case 400:
      return {status, invalid, "the HTTP request is malformed"};
    case 404:
      return {status, invalid, "there is nothing at this path"};
    case 408:
      return {status, invalid, "the request took too long to arrive"};
    case 411:
      return {status, invalid, "the request has no body"};
    case 413:
      return {status, invalid, "the request is too large"};
    case 414:
      return {status, invalid, "the URL is too long"};
    case 431:
      return {status, invalid, "the request has too many headers"};
    default:
      return {status, status < 500 ? invalid : "server_error",
              fmt::format("the request failed with status {}", status)};
  }
}

std::string error_body(const ApiError& error) {
  // Some quote what the client sent.
  constexpr size_t kLongest = 1000;
  std::string message = error.what();
  if (message.size() > kLongest) message = message.substr(0, kLongest) + "...";
  const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  return to_text({{"error",
                   {{"message", std::move(message)},
                    {"type", error.type},
                    {"param", or_null(error.param)},
                    {"code", or_null(error.code)}}}});
}

std::string whole_response(const ApiError& error) {
  const std::string body = error_body(error);
  const std::string retry =
      error.retry_after > 0 ? fmt::format("Retry-After: {}\r\n", error.retry_after) : "";
  return fmt::format(
      "HTTP/1.1 {} Refused\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}"
      "Connection: close\r\n\r\n{}",
      error.status, body.size(), retry, body);
}

}  // namespace tessera::serve
