// cpp-httplib's server on connections with limits: a thread for each, up to a bound.
#pragma once

#include <httplib.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "serve/http/connection.h"

namespace tessera::serve {

class HttpServer final : public httplib::Server {
 public:
  explicit HttpServer(const HttpLimits& limits);

  // Binds and listens; port 0 takes any free one. Returns the port. Throws Error.
  int bind(const std::string& host, int port);
  // Serves until end() has been called and every connection is closed.
  void run() { listen_after_bind(); }
  // From now on no further requests; those that are being answered go on. (httplib's own stop()
  // would cut them.)
  void stop_taking() { end_.stopping = true; }
  void end();
  int connections() const { return connections_; }

 private:
  bool process_and_close_socket(socket_t socket) override;
  void serve(Connection& connection);

  HttpLimits limits_;
  Connection::End end_;
  std::atomic<int> connections_{0};
};

}  // namespace tessera::serve
