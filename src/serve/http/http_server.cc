#include "serve/http/http_server.h"

#include <strings.h>

#include <algorithm>
#include <array>
#include <exception>
#include <limits>
#include <string_view>
#include <utility>

#include "base/available_cpus.h"
#include "base/log.h"
#include "serve/http/listener.h"

namespace tessera::serve {
namespace {

constexpr int kReserved = 8;  // places beyond the others

// What httplib would act upon, and is settled: bodies come to it without chunks, and are JSON,
// whatever a client says of them (it would keep a form, which curl calls what it sends, to 8 KiB,
// and take others apart); answers are whole (it would cut them to a range).
bool is_settled(const std::string& name) {
  constexpr std::array<const char*, 6> kSettled = {
      "Connection", "Content-Encoding", "Content-Type", "Expect", "Range", "Transfer-Encoding"};
  return std::ranges::any_of(
      kSettled, [&](const char* settled) { return ::strcasecmp(name.c_str(), settled) == 0; });
}

// HTTP/1.0 knows no chunks: a stream ends with its connection.
void without_chunks(httplib::Response& response) {
  response.headers.erase("Transfer-Encoding");
  response.is_chunked_content_provider_ = false;
}

int prepared_at_once(const HttpLimits& limits) {
  if (limits.preparing > 0) return limits.preparing;
  constexpr int kMost = 4;  // each may take some hundred megabytes
  return std::min(available_cpus(), kMost);
}

ApiError no_place(std::string what) {
  ApiError error{503, "server_error", std::move(what)};
  error.retry_after = 1;
  return error;
}

}  // namespace

HttpServer::HttpServer(const HttpLimits& limits, HttpHooks hooks)
    : limits_(limits),
      hooks_(std::move(hooks)),
      places_(limits.connections, limits.client_connections),
      reserved_(kReserved, kReserved),
      bodies_(limits.all_body_bytes(), limits.all_body_bytes()),
      gate_(prepared_at_once(limits)),
      house_{.places = places_, .bodies = bodies_, .gate = gate_},
      lobby_(listener_, limits_,
             {[this](Lobby::Guest& guest) { return admit(guest); }, hooks_.count}),
      threads_(static_cast<size_t>(limits.connections) + kReserved,
               [this](Visit visit) { serve(std::move(visit)); }) {
  set_payload_max_length(limits.body_bytes);
  set_keep_alive_timeout(limits.idle_time.count());
  set_keep_alive_max_count(std::numeric_limits<int>::max());
  set_logger([this](const httplib::Request&, const httplib::Response& response) {
    hooks_.count(response.status);
  });
  set_post_routing_handler([](const httplib::Request& request, httplib::Response& response) {
    if (request.version == "HTTP/1.0") without_chunks(response);
    if (!Connection::current()->must_close()) return;
    response.headers.erase("Keep-Alive");  // a client would send its next request into the end
    response.headers.erase("Connection");
    response.set_header("Connection", "close");
  });
}

int HttpServer::bind(const std::string& host, int port) {
  listener_ = listen_on(host, port);
  svr_sock_ = listener_.get();  // without it httplib would take itself for stopped, and cut streams
  return own_address_of(listener_.get()).port;
}

void HttpServer::run() {
  lobby_.run();
  threads_.shutdown();
}

void HttpServer::end() {
  house_.stopping = house_.broken_off = true;
  svr_sock_ = INVALID_SOCKET;
  lobby_.end();
}

std::string HttpServer::path_of(std::string_view head) const {
  const std::string_view target = target_of(head);
  return hooks_.canonical_path(std::string(target.substr(0, target.find_first_of("?#"))));
}

std::optional<ApiError> HttpServer::admit(Lobby::Guest& guest) {
  if (house_.stopping) return no_place("the server is about to stop");
  const std::string client = client_of(guest.socket.get());
  Places::Place place = places_.enter(client);
  const bool is_reserved = !place && hooks_.is_reserved(path_of(guest.received));
  if (is_reserved) place = reserved_.enter(client);
  if (!place) return no_place("the server has too many connections");
  threads_.enqueue(
      {std::move(guest.socket), std::move(guest.received), std::move(place), is_reserved});
  return std::nullopt;
}

void HttpServer::serve(Visit visit) {
  try {
    Connection connection(std::move(visit.socket), std::move(visit.received), limits_, house_);
    if (visit.is_reserved) connection.close_after_response();
    serve(connection);
  } catch (const std::exception& error) {  // from a stream, where no response can say it any more
    spdlog::error("a connection failed: {}", error.what());
  }
}

void HttpServer::serve(Connection& connection) {
  while (connection.next_request()) {
    bool closed = false;
    const bool served =
        process_request(connection, house_.stopping, closed,
                        [&](httplib::Request& request) { prepare(connection, request); });
    connection.request_is_over();
    if (!served || connection.must_close()) return;
  }
  if (!connection.fault()) return;
  const std::string response = whole_response(*connection.fault());
  connection.write(response.data(), response.size());
  hooks_.count(connection.fault()->status);
}

// httplib knows the first line only, and would percent-decode the values of headers.
void HttpServer::prepare(Connection& connection, httplib::Request& request) const {
  connection.set_request(request);
  request.headers.clear();
  for (const auto& [name, value] : connection.head().fields) {
    if (!is_settled(name)) request.headers.emplace(name, value);
  }
  request.path = hooks_.canonical_path(request.path);
}

}  // namespace tessera::serve
