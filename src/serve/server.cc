#include "serve/server.h"

#include <strings.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/log.h"
#include "serve/http/api_error.h"
#include "serve/http/assets.h"
#include "serve/http/listener.h"
#include "serve/paths.h"

namespace tessera::serve {
namespace {

using httplib::Request;
using httplib::Response;

constexpr std::chrono::seconds kLastWords{2};

void set_error(Response& response, const ApiError& error) {
  response.status = error.status;
  if (error.retry_after > 0) {
    response.set_header("Retry-After", std::to_string(error.retry_after));
  }
  if (error.status == 401) response.set_header("WWW-Authenticate", "Bearer");
  response.set_content(error_body(error), "application/json");
}

// What there is to say before there is a model; /health as llama-server says it.
void set_loading(const Request& request, Response& response) {
  ApiError error{503, "server_error", "the model is being loaded"};
  error.retry_after = 1;
  set_error(response, error);
  if (request.path == "/health") response.body = R"({"status":"loading model"})";
}

// httplib's routes are regular expressions.
std::string literal(std::string_view path) {
  std::string pattern;
  for (const char c : path) {
    if (std::string_view(R"(.[]{}()*+?^$|\)").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

// What tells an operator how the server is, also while clients take all places.
bool is_for_probes(const std::string& path) {
  return path == "/health" || path == "/metrics";
}

bool is_asset(const std::string& path) {
  return path == "/" || std::ranges::any_of(assets(), [&](const Asset& asset) {
           return path.starts_with('/') && path.substr(1) == asset.path;
         });
}

ApiError nothing_at(const std::string& path) {
  const std::string_view counterpart = counterpart_of(path);
  return {404, "invalid_request_error",
          counterpart.empty()
              ? fmt::format("there is nothing at '{}'; GET /v1/models is where clients begin", path)
              : fmt::format("there is nothing at '{}'; here it is {}", path, counterpart)};
}

}  // namespace

Server::Server(ServerOptions options)
    : options_(std::move(options)),
      hosts_(options_.host, options_.allowed_hosts),
      http_(options_.http, {.canonical_path = canonical_path,
                            .is_reserved = is_for_probes,
                            .count = [this](int status) {
                              if (Service* service = service_) service->count_response(status);
                            }}) {
  http_.set_pre_routing_handler(
      [this](const Request& request, Response& response) { return check(request, response); });
  http_.set_error_handler(
      [this](const Request& request, Response& response) { complete_error(request, response); });
  add_routes();
  add_assets();
  port_ = http_.bind(options_.host, options_.port);
}

Server::~Server() {
  shutdown(std::chrono::milliseconds(0));
}

std::string Server::url() const {
  return url_of(options_.host, port_);
}

void Server::start() {
  thread_ = std::thread([this] { http_.run(); });
}

void Server::shutdown(std::chrono::milliseconds patience) {
  const auto wait_until = [](Clock::time_point deadline, const auto& done) {
    while (!done() && Clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  };
  http_.stop_taking();
  if (Service* service = service_) {
    EngineLoop& loop = service->loop();
    loop.close();
    wait_until(Clock::now() + patience, [&] { return loop.is_idle(); });
    loop.stop();
  }
  // What the answers have become by now still goes out.
  wait_until(Clock::now() + kLastWords, [&] { return http_.connections() == 0; });
  http_.end();
  if (thread_.joinable()) thread_.join();
  service_ = nullptr;
}

void Server::add_routes() {
  const std::string model = canonical_path("/v1/models/" + options_.model_name);
  routes_ = {{"POST", "/v1/chat/completions", &Service::chat_completions},
             {"POST", "/v1/completions", &Service::completions},
             {"POST", "/v1/embeddings", &Service::embeddings},
             {"GET", "/v1/models", &Service::models},
             {"GET", model, &Service::model},
             {"GET", "/lora-adapters", &Service::lora_adapters},
             {"POST", "/apply-template", &Service::apply_template},
             {"POST", "/tokenize", &Service::tokenize},
             {"POST", "/detokenize", &Service::detokenize},
             {"GET", "/metrics", &Service::metrics},
             {"GET", "/engine", &Service::engine_view},
             {"GET", "/health", &Service::health, false}};
  for (const std::string& name : options_.adapter_names)
    routes_.push_back({"GET", canonical_path("/v1/models/" + name), &Service::model});
  for (const Route& route : routes_) {
    if (route.method == "GET") http_.Get(literal(route.path), guarded(route.handler));
    if (route.method == "POST") http_.Post(literal(route.path), guarded(route.handler));
  }
}

// The page loads nothing from elsewhere, runs no script but its own files, turns no text into
// markup (Trusted Types), and nobody may put it into a frame.
void Server::add_assets() {
  constexpr const char* kPolicy =
      "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
      "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
  for (const Asset& asset : assets()) {
    const auto serve = [asset](const Request& request, Response& response) {
      response.set_header("Content-Security-Policy", kPolicy);
      response.set_header("X-Content-Type-Options", "nosniff");
      response.set_header("Referrer-Policy", "no-referrer");
      response.set_header("Cache-Control", "no-cache");
      response.set_header("ETag", std::string(asset.etag));
      if (request.get_header_value("If-None-Match").find(asset.etag) != std::string::npos) {
        response.status = 304;
        return;
      }
      response.set_content(asset.bytes.data(), asset.bytes.size(),
                           std::string(content_type_of(asset.path)));
    };
    http_.Get(fmt::format("/{}", literal(asset.path)), serve);
    if (asset.path == "index.html") http_.Get("/", serve);
  }
}

httplib::Server::Handler Server::guarded(Handler handler) {
  return [this, handler](const Request& request, Response& response) {
    Connection& connection = *Connection::current();
    try {
      if (connection.is_gone()) throw client_is_gone();
      if (connection.head().has_body()) connection.begin_preparing();
      ((*service_).*handler)(request, response);
    } catch (const ApiError& error) {
      set_error(response, error);
    } catch (const Error& error) {
      set_error(response, {400, "invalid_request_error", error.what()});
    } catch (const std::exception& error) {
      spdlog::error("{} failed: {}", request.path, error.what());
      set_error(response, {500, "server_error", "the server failed"});
    }
    connection.end_preparing();
  };
}

bool Server::is_allowed_origin(const std::string& origin) const {
  return std::ranges::any_of(options_.cors_origins, [&](const std::string& allowed) {
    return allowed == "*" || allowed == origin;
  });
}

void Server::allow_origin(const Request& request, Response& response) const {
  const std::string origin = request.get_header_value("Origin");
  if (origin.empty() || !is_allowed_origin(origin)) return;
  response.set_header("Access-Control-Allow-Origin", origin);
  response.set_header("Vary", "Origin");
}

void Server::check_caller(const Request& request) const {
  const std::string host = request.get_header_value("Host");
  if (request.has_header("Host") && !hosts_.admit(host) && request.path != "/health") {
    throw ApiError(403, "invalid_request_error",
                   fmt::format("this server is not called '{}' (see --allowed-host)", host));
  }
  const std::string origin = request.get_header_value("Origin");
  if (!origin.empty() && !is_own_origin(origin, host) && !is_allowed_origin(origin)) {
    throw ApiError(403, "invalid_request_error",
                   fmt::format("pages of '{}' may not call this server (see --cors)", origin));
  }
}

void Server::check_body() const {
  const RequestHead& head = Connection::current()->head();
  const bool takes_body = head.method == "POST" || head.method == "PUT" || head.method == "PATCH" ||
                          head.method == "DELETE";
  if (!takes_body && head.has_body()) {
    throw ApiError(400, "invalid_request_error", "this method takes no body");
  }
  if (head.method == "POST" && !head.is_chunked && !head.content_length) {
    Connection::current()->close_after_response();  // who believes to have sent a body may go on
    throw error_of_status(411);
  }
  if (head.content_length.value_or(0) > options_.http.body_bytes) throw error_of_status(413);
  const std::string* coding = head.find("Content-Encoding");
  if (coding != nullptr && !coding->empty() && ::strcasecmp(coding->c_str(), "identity") != 0) {
    throw ApiError(415, "invalid_request_error", "compressed bodies are not supported");
  }
}

// The route of the request; null if it asks for a file of the page, or for another model.
const Server::Route* Server::check_path(const Request& request) const {
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  std::string takes = is_asset(request.path) ? "GET" : "";
  for (const Route& route : routes_) {
    if (route.path != request.path) continue;
    if (route.method == method) return &route;
    takes = route.method;
  }
  if (takes.empty() && request.path.starts_with("/v1/models/")) takes = "GET";
  if (takes == method) return nullptr;
  if (takes.empty()) throw nothing_at(request.path);
  throw ApiError(404, "invalid_request_error",
                 fmt::format("'{}' takes {}, not {}", request.path, takes, request.method));
}

// Also tells whose request it is.
void Server::check_key(const Request& request, bool needs_key) const {
  Connection& connection = *Connection::current();
  Connection::Client client = connection.client();
  client.may_prioritize = options_.allow_priority;
  if (const auto* key = options_.keys.find(request.get_header_value("Authorization"))) {
    client.name = key->client();
    client.may_prioritize |= key->may_prioritize;
  } else if (needs_key && !options_.keys.empty()) {
    throw ApiError(401, "authentication_error",
                   "a valid API key is needed: 'Authorization: Bearer KEY'", "", "invalid_api_key");
  }
  connection.set_client(std::move(client));
}

httplib::Server::HandlerResponse Server::check(const Request& request, Response& response) const {
  using Result = httplib::Server::HandlerResponse;
  try {
    check_caller(request);
    allow_origin(request, response);
    check_body();
    if (request.method == "OPTIONS" && !options_.cors_origins.empty()) {
      response.status = 204;
      response.set_header("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
      response.set_header("Access-Control-Allow-Headers", "*, Authorization, Content-Type");
      response.set_header("Access-Control-Max-Age", "600");
      return Result::Handled;
    }
    const Route* route = check_path(request);
    // The page asks for a key itself.
    check_key(request, route != nullptr ? route->needs_key : !is_asset(request.path));
    if (service_ == nullptr) {
      set_loading(request, response);
      return Result::Handled;
    }
    return Result::Unhandled;
  } catch (const ApiError& error) {
    set_error(response, error);
    return Result::Handled;
  }
}

// Gives an error of the HTTP layer the body that clients of the API expect.
void Server::complete_error(const Request&, Response& response) const {
  if (!response.body.empty()) return;
  if (const auto& fault = Connection::current()->fault()) {
    set_error(response, *fault);
  } else if (response.status == 404) {
    set_error(response, {404, "invalid_request_error",
                         fmt::format("there is no such model; '{}' is served", options_.model_name),
                         "model", "model_not_found"});
  } else {
    set_error(response, error_of_status(response.status));
  }
}

}  // namespace tessera::serve
