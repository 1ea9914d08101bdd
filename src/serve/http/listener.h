// The socket that a server listens on.
#pragma once

#include <string>

#include "serve/http/socket.h"

namespace tessera::serve {

// Binds and listens, without waiting in accept(2). `port` 0: any free one. No other program can
// listen there meanwhile. Throws Error, which says what stands in the way.
Socket listen_on(const std::string& host, int port);

// "http://[::1]:8080".
std::string url_of(const std::string& host, int port);

// Why bind(2) gave `error_number`, for people.
std::string why_not_bound(int error_number);

}  // namespace tessera::serve
