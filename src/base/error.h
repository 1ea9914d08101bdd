// Errors that a user caused or can mend: one clear line saying what, where and what was expected.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

namespace tessera {

// Thrown for bad input of any kind: a file, a flag, a request. The command line prints
// "error: " + what() and exits with status 1. A bug in Tessera itself is never an Error.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// throw Error(fmt::format(...)).
template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace tessera
