// One client's connection while it is served, with bounds on what it may send and how long it may
// take. cpp-httplib alone has a limit for each read but none for a request, so a client that sends
// a byte now and then would keep a thread for ever.
//
// httplib reads requests leniently, too. So it gets what was read strictly (framing.h) and is made
// plain: a first line as its head, and a body without chunks.
#pragma once

#include <httplib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/places.h"
#include "serve/http/api_error.h"
#include "serve/http/framing.h"
#include "serve/http/gate.h"
#include "serve/http/limits.h"
#include "serve/http/socket.h"

namespace tessera::serve {

class Connection final : public httplib::Stream {
 public:
  // What all connections of a server look at: whether further requests are taken, whether to break
  // off at once, and whether those who do nothing shall go because places are scarce; and what they
  // share: the bytes of requests, and the making ready of these.
  struct House {
    std::atomic<bool> stopping{false}, broken_off{false};
    const Places& places;
    Places& bodies;
    Gate& gate;
  };

  // `received`: what the client has sent already.
  Connection(Socket socket, std::string received, const HttpLimits& limits, const House& house);
  ~Connection() override;

  // Waits for a request and reads its head. False if none comes, or not as it should: then fault()
  // says what is wrong, unless the client has only left.
  bool next_request();
  // Of the request that is being answered.
  const RequestHead& head() const { return head_; }
  // Where httplib keeps it, until it has been answered.
  void set_request(httplib::Request& request) { request_ = &request; }
  void request_is_over();

  // Whose shares it takes from: its address, unless somebody knows better.
  struct Client {
    std::string name;
    bool may_prioritize = false;
  };
  const Client& client() const { return client_; }
  void set_client(Client client) { client_ = std::move(client); }

  // Waits for the client's turn to have its request made ready. Throws ApiError if it leaves.
  void begin_preparing();
  // The request is understood or done: others may come, and its body is needed no more.
  void end_preparing();

  // The client has closed its side (a client that only ends its own sending counts as gone).
  bool is_gone() const;
  // What is wrong with the request as it was read.
  const std::optional<ApiError>& fault() const { return fault_; }
  // No other request can follow: one side wants none, or where it would begin is unknown.
  bool must_close() const { return is_last_ || fault_ || head_.closes || !body_.is_done(); }
  void close_after_response() { is_last_ = true; }

  // The connection that the calling thread serves; never null within a handler.
  static Connection* current();

  bool is_readable() const override;
  bool is_writable() const override { return !is_gone(); }
  // First the head as httplib shall see it, then the body's content; 0 at its end, -1 for a fault.
  ssize_t read(char* to, size_t size) override;
  ssize_t write(const char* from, size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  // httplib asks only because select(2) knows no handle from 1024 on. Nothing here needs it.
  socket_t socket() const override { return INVALID_SOCKET; }

 private:
  using Clock = std::chrono::steady_clock;
  using Milliseconds = std::chrono::milliseconds;

  // How long to wait: usually, and as long as places are scarce.
  struct Patience {
    Milliseconds usual, scarce;
  };

  std::string_view unread() const { return std::string_view(buffer_).substr(read_); }
  Milliseconds now(const Patience& patience) const {
    return house_.places.are_scarce() ? std::min(patience.usual, patience.scarce) : patience.usual;
  }
  bool wait_ready(short events, Clock::time_point deadline) const;
  bool wait_for_first_byte();
  bool receive(Clock::time_point since, const Patience& patience);
  ssize_t read_body(char* to, size_t size);
  void reserve_body(size_t bytes);
  void linger();

  Socket socket_;
  const HttpLimits& limits_;
  const House& house_;
  std::string buffer_;
  size_t read_ = 0;  // of the buffer
  RequestHead head_;
  std::string plain_head_;  // as httplib shall see it
  size_t plain_read_ = 0;   // of it, by httplib
  BodyDecoder body_;
  Clock::time_point body_since_;
  size_t body_bytes_ = 0;                // that have come
  std::vector<Places::Place> reserved_;  // for them
  httplib::Request* request_ = nullptr;
  Client client_;
  Gate::Pass pass_;
  std::optional<ApiError> fault_;
  bool is_last_ = false;
};

}  // namespace tessera::serve
