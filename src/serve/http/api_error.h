// What goes wrong with a request, as OpenAI's API says it: a status and
// {"error": {"message", "type", "param", "code"}}.
#pragma once

#include <string>
#include <utility>

#include "base/error.h"

namespace tessera::serve {

class ApiError : public Error {
 public:
  ApiError(int http_status, std::string error_type, const std::string& message,
           std::string parameter = {}, std::string error_code = {})
      : Error(message),
        status(http_status),
        type(std::move(error_type)),
        param(std::move(parameter)),
        code(std::move(error_code)) {}

  int status;
  std::string type;         // "invalid_request_error", "rate_limit_error", ...
  std::string param, code;  // may be empty
  int retry_after = 0;      // seconds; 0: no Retry-After
};

// 400; `param` names the field at fault, or is empty.
template <typename... Args>
[[noreturn]] void bad_request(std::string param, fmt::format_string<Args...> format,
                              Args&&... args) {
  throw ApiError(400, "invalid_request_error", fmt::format(format, std::forward<Args>(args)...),
                 std::move(param));
}

// The client has left; nobody reads this.
ApiError client_is_gone();
// The error for a status that the HTTP layer gave.
ApiError error_of_status(int status);
// {"error": ...}, in one line.
std::string error_body(const ApiError& error);
// With a status line and headers: what a connection without a readable request gets, and its last.
std::string whole_response(const ApiError& error);

}  // namespace tessera::serve
