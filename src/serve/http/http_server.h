// cpp-httplib's routes, on connections of our own: they wait in a lobby, take a place when they
// have asked something, and keep within limits.
#pragma once

#include <httplib.h>

#include <functional>
#include <optional>
#include <string>

#include "base/places.h"
#include "serve/http/connection.h"
#include "serve/http/lobby.h"
#include "serve/http/threads.h"

namespace tessera::serve {

struct HttpHooks {
  // The path under which the one of a request is looked up.
  std::function<std::string(const std::string&)> canonical_path;
  // Whether a (canonical) path is answered even where all places are taken. The answer must be
  // short.
  std::function<bool(const std::string&)> is_reserved;
  // Called for each response with its status, from any thread.
  std::function<void(int)> count;
};

class HttpServer final : public httplib::Server {
 public:
  HttpServer(const HttpLimits& limits, HttpHooks hooks);

  // Binds and listens; port 0 takes any free one. Returns the port. Throws Error.
  int bind(const std::string& host, int port);
  // Serves until end() has been called and every connection is closed.
  void run();
  // From now on no further requests; those that are being answered go on. (httplib's own stop()
  // would cut them.)
  void stop_taking() { house_.stopping = true; }
  void end();
  int64_t connections() const { return places_.taken() + reserved_.taken(); }

 private:
  std::optional<ApiError> admit(Lobby::Guest& guest);
  std::string path_of(std::string_view head) const;
  void serve(Visit visit);
  void serve(Connection& connection);
  void prepare(Connection& connection, httplib::Request& request) const;

  HttpLimits limits_;
  HttpHooks hooks_;
  Places places_, reserved_, bodies_;
  Gate gate_;
  Connection::House house_;
  Socket listener_;
  Lobby lobby_;
  ConnectionThreads threads_;
};

}  // namespace tessera::serve
