#include "serve/server.h"

#include <strings.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "serve/http/api_error.h"
#include "serve/http/assets.h"

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

// httplib's routes are regular expressions.
std::string literal(std::string_view path) {
  std::string pattern;
  for (const char c : path) {
    if (std::string_view(R"(.[]{}()*+?^$|\)").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

// A name that ends in a blank is another name to httplib, and may be none to a proxy (RFC
// 9112, 5.1).
bool has_blank_in_names(const Request& request) {
  return std::ranges::any_of(request.headers, [](const auto& header) {
    return header.first.find_first_of(" \t") != std::string::npos;
  });
}

// The body of these is not read by httplib.
bool has_unread_body(const Request& request) {
  const bool reads_body = request.method == "POST" || request.method == "PUT" ||
                          request.method == "PATCH" || request.method == "DELETE";
  const std::string length = request.get_header_value("Content-Length");
  return !reads_body &&
         (request.has_header("Transfer-Encoding") || (!length.empty() && length != "0"));
}

// Whether a Content-Length is a number. httplib takes what strtoull makes of it.
bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 18 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

// Whether there is one way to tell where the body ends, as a proxy before this server must see it
// too (RFC 9112, 6.3). httplib takes the first length, or any coding for none.
bool is_framed_clearly(const Request& request) {
  const size_t lengths = request.get_header_value_count("Content-Length");
  const size_t codings = request.get_header_value_count("Transfer-Encoding");
  if (lengths + codings > 1) return false;
  return codings == 0 ||
         ::strcasecmp(request.get_header_value("Transfer-Encoding").c_str(), "chunked") == 0;
}

// Without a length httplib would read until the client closes.
bool lacks_body(const Request& request) {
  const bool needs_body =
      request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  return needs_body && !request.has_header("Content-Length") &&
         !request.has_header("Transfer-Encoding");
}

}  // namespace

Server::Server(Service& service, ServerOptions options)
    : service_(service), options_(std::move(options)), http_(options_.http) {
  http_.set_pre_routing_handler(
      [this](const Request& request, Response& response) { return check(request, response); });
  http_.set_error_handler(
      [this](const Request& request, Response& response) { complete_error(request, response); });
  http_.set_post_routing_handler([](const Request&, Response& response) {
    const Connection* connection = Connection::current();
    if (connection == nullptr || !connection->must_close()) return;
    response.headers.erase("Keep-Alive");  // a client would send its next request into the end
    response.set_header("Connection", "close");
  });
  http_.set_logger([this](const Request&, const Response& response) {
    service_.count_response(response.status);
  });
  add_routes();
  add_assets();
  port_ = http_.bind(options_.host, options_.port);
}

Server::~Server() {
  shutdown(std::chrono::milliseconds(0));
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
  service_.loop().close();
  http_.stop_taking();
  wait_until(Clock::now() + patience, [&] { return service_.loop().is_idle(); });
  service_.loop().stop();
  // What the answers have become by now still goes out.
  wait_until(Clock::now() + kLastWords, [&] { return http_.connections() == 0; });
  http_.end();
  if (thread_.joinable()) thread_.join();
}

void Server::add_routes() {
  http_.Post("/v1/chat/completions", guarded(&Service::chat_completions));
  http_.Post("/v1/completions", guarded(&Service::completions));
  http_.Post("/v1/embeddings", guarded(&Service::embeddings));
  http_.Get("/v1/models", guarded(&Service::models));
  http_.Get("/v1/models/" + literal(service_.model_name()), guarded(&Service::model));
  http_.Post("/tokenize", guarded(&Service::tokenize));
  http_.Post("/detokenize", guarded(&Service::detokenize));
  http_.Get("/health", guarded(&Service::health));
  http_.Get("/metrics", guarded(&Service::metrics));
  http_.Get("/engine", guarded(&Service::engine_view));
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
    try {
      if (Connection::current()->is_gone()) throw client_is_gone();
      (service_.*handler)(request, response);
    } catch (const ApiError& error) {
      set_error(response, error);
    } catch (const Error& error) {
      set_error(response, {400, "invalid_request_error", error.what()});
    } catch (const std::exception& error) {
      spdlog::error("{} failed: {}", request.path, error.what());
      set_error(response, {500, "server_error", "the server failed"});
    }
  };
}

void Server::allow_origin(const Request& request, Response& response) const {
  if (options_.cors_origin.empty() || !request.has_header("Origin")) return;
  response.set_header("Access-Control-Allow-Origin", options_.cors_origin);
  if (options_.cors_origin != "*") response.set_header("Vary", "Origin");
}

httplib::Server::HandlerResponse Server::check(const Request& request, Response& response) {
  using Result = httplib::Server::HandlerResponse;
  // The body has not been read yet: after a refusal the connection cannot go on.
  const auto refuse = [&](const ApiError& error) {
    if (request.method != "GET") Connection::current()->close_after_response();
    set_error(response, error);
    return Result::Handled;
  };
  allow_origin(request, response);
  if (has_unread_body(request)) {
    Connection::current()->close_after_response();
    return refuse({400, "invalid_request_error", "this method takes no body"});
  }
  if (has_blank_in_names(request) || !is_framed_clearly(request))
    return refuse(error_of_status(400));
  if (lacks_body(request)) return refuse(error_of_status(411));
  if (request.has_header("Content-Length")) {
    const std::string length = request.get_header_value("Content-Length");
    if (!is_number(length)) return refuse(error_of_status(400));
    // At once: httplib would read it all away first.
    if (std::stoull(length) > options_.http.body_bytes) return refuse(error_of_status(413));
  }
  if (request.has_header("Content-Encoding")) {
    return refuse({415, "invalid_request_error", "compressed bodies are not supported"});
  }
  const std::string origin = request.get_header_value("Origin");
  const bool foreign = !origin.empty() && !is_own_origin(origin, request.get_header_value("Host"));
  if (foreign && options_.cors_origin != "*" && origin != options_.cors_origin) {
    return refuse({403, "invalid_request_error",
                   fmt::format("pages of '{}' may not call this server (see --cors)", origin)});
  }
  if (request.method == "OPTIONS" && !options_.cors_origin.empty()) {
    response.status = 204;
    response.set_header("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    response.set_header("Access-Control-Allow-Headers", "*, Authorization, Content-Type");
    response.set_header("Access-Control-Max-Age", "600");
    return Result::Handled;
  }
  // What needs a key is the API; the page asks for one itself.
  const bool is_open =
      request.path == "/health" || (request.method == "GET" && !request.path.starts_with("/v1/") &&
                                    request.path != "/metrics" && request.path != "/engine");
  if (!is_open && !options_.keys.admit(request.get_header_value("Authorization"))) {
    return refuse({401, "authentication_error",
                   "a valid API key is needed: 'Authorization: Bearer KEY'", "",
                   "invalid_api_key"});
  }
  return Result::Unhandled;
}

// Gives an error of the HTTP layer the body that clients of the API expect.
void Server::complete_error(const Request& request, Response& response) const {
  if (!response.body.empty()) return;
  Connection& connection = *Connection::current();
  if (connection.fault() != 0) response.status = connection.fault();
  if (response.status >= 400 && response.status != 404) connection.close_after_response();
  if (response.status == 404 && request.path.starts_with("/v1/models/")) {
    set_error(response,
              {404, "invalid_request_error",
               fmt::format("there is no such model; '{}' is served", service_.model_name()),
               "model", "model_not_found"});
    return;
  }
  set_error(response, error_of_status(response.status));
}

}  // namespace tessera::serve
