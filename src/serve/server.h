// The service behind HTTP: routes, access, errors, and an orderly end.
#pragma once

#include <chrono>
#include <string>
#include <thread>

#include "serve/api/service.h"
#include "serve/http/access.h"
#include "serve/http/http_server.h"

namespace tessera::serve {

struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 8080;  // 0: any free one
  ApiKeys keys = {};
  std::string cors_origin = {};  // "": pages of other origins may not call; "*": all may
  HttpLimits http = {};
};

class Server {
 public:
  // Binds; throws Error if that fails. Nothing is served before start().
  Server(Service& service, ServerOptions options);
  ~Server();  // shutdown() without patience

  int port() const { return port_; }
  void start();
  // Refuses new work, lets answers end until `patience` is over, cuts the others, and returns when
  // every connection is closed.
  void shutdown(std::chrono::milliseconds patience);

 private:
  using Handler = void (Service::*)(const httplib::Request&, httplib::Response&);

  void add_routes();
  void add_assets();
  httplib::Server::Handler guarded(Handler handler);
  // Refuses or answers what needs no handler.
  httplib::Server::HandlerResponse check(const httplib::Request& request,
                                         httplib::Response& response);
  void allow_origin(const httplib::Request& request, httplib::Response& response) const;
  void complete_error(const httplib::Request& request, httplib::Response& response) const;

  Service& service_;
  ServerOptions options_;
  HttpServer http_;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace tessera::serve
