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

#include "serve/connection.h"

namespace tessera::serve {

class HttpServer final : public httplib::Server {
 public:
  explicit HttpServer(const HttpLimits& limits);

  // Binds and listens; port 0 takes any free one. Returns the port. Throws Error.
  int bind(const std::string& host, int port);
  // Serves until stop_accepting(), then until every connection has ended.
  void run() { listen_after_bind(); }
  // From now on no new connection, and no further request on those there are.
  void stop_accepting();
  // Sent to clients beyond the limit of connections.
  void set_busy_response(std::string response) { busy_response_ = std::move(response); }

 private:
  bool process_and_close_socket(socket_t socket) override;
  void serve(Connection& connection);

  HttpLimits limits_;
  std::string busy_response_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> connections_{0};
};

}  // namespace tessera::serve
