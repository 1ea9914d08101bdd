// The service behind HTTP: routes, access, errors, and an orderly end.
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "serve/api/service.h"
#include "serve/http/access.h"
#include "serve/http/http_server.h"

namespace tessera::serve {

struct ServerOptions {
  std::string model_name = {};
  std::vector<std::string> adapter_names = {};  // which are models, too
  std::string host = "127.0.0.1";
  int port = 8080;  // 0: any free one
  ApiKeys keys = {};
  // Origins whose pages may call, besides its own; "*": all may.
  std::vector<std::string> cors_origins = {};
  // What it may be called besides `host` and the names of this machine; "*": anything.
  std::vector<std::string> allowed_hosts = {};
  bool allow_priority = false;  // anybody may ask to be served before others, with or without a key
  HttpLimits http = {};
};

class Server {
 public:
  // Binds; throws Error if that fails. Nothing is served before start(), and nothing but that the
  // model is being loaded before open().
  explicit Server(ServerOptions options);
  ~Server();  // shutdown() without patience

  int port() const { return port_; }
  std::string url() const;  // "http://127.0.0.1:8080"
  void start();
  // From now on, until shutdown(), `service` answers.
  void open(Service& service) { service_ = &service; }
  // Refuses new work, lets answers end until `patience` is over, cuts the others, and returns when
  // every connection is closed.
  void shutdown(std::chrono::milliseconds patience);

 private:
  using Handler = void (Service::*)(const httplib::Request&, httplib::Response&);
  struct Route {
    std::string method, path;
    Handler handler;
    bool needs_key = true;
  };

  void add_routes();
  void add_assets();
  httplib::Server::Handler guarded(Handler handler);

  // Refuses or answers what needs no handler, before a body is read.
  httplib::Server::HandlerResponse check(const httplib::Request& request,
                                         httplib::Response& response) const;
  // Each throws ApiError if the request may not go on.
  void check_key(const httplib::Request& request, bool needs_key) const;
  void check_caller(const httplib::Request& request) const;
  void check_body() const;
  const Route* check_path(const httplib::Request& request) const;
  bool is_allowed_origin(const std::string& origin) const;
  void allow_origin(const httplib::Request& request, httplib::Response& response) const;
  void complete_error(const httplib::Request& request, httplib::Response& response) const;

  ServerOptions options_;
  std::atomic<Service*> service_{nullptr};
  AllowedHosts hosts_;
  std::vector<Route> routes_;
  HttpServer http_;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace tessera::serve
