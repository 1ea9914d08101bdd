// One client's socket, with bounds on what it may send and how long it may take. cpp-httplib alone
// has a limit for each read but none for a request, so a client that sends a byte now and then, or
// headers without end, would keep a thread for ever.
#pragma once

#include <httplib.h>

#include <array>
#include <atomic>
#include <chrono>
#include <string>

namespace tessera::serve {

struct HttpLimits {
  size_t header_bytes = 64 << 10;  // request line and headers
  size_t body_bytes = 8 << 20;
  std::chrono::seconds header_time{15};  // from the first byte to the last header
  std::chrono::seconds body_time{60};    // from there to the end of the body
  std::chrono::seconds idle_time{60};    // between two requests
  std::chrono::seconds write_time{30};   // without the client taking anything
  int connections = 512;                 // at once
};

class Connection final : public httplib::Stream {
 public:
  // What all connections of a server look at: whether further requests are taken, and whether to
  // break off at once.
  struct End {
    std::atomic<bool> stopping{false}, broken_off{false};
  };

  // Owns the socket.
  Connection(socket_t socket, const HttpLimits& limits, const End& end);
  ~Connection() override;

  // Waits for the first byte of a request. False if there will be none.
  bool wait_for_request();
  // The headers were read: from here on the limits of the body count.
  void begin_body();

  // The client has closed its side (a client that only ends its own sending counts as gone).
  bool is_gone() const;
  // The status of what is wrong with the request as it was read: 400 if a header's line ended in a
  // line feed alone (httplib would pass over it, where a proxy may not), 408, 413; 0 for nothing.
  int fault() const { return fault_; }
  bool has_answered() const { return answered_; }
  // What is left of the request will not be read: no other can follow on this connection.
  void close_after_response(std::chrono::milliseconds linger = std::chrono::seconds(2)) {
    close_after_response_ = true;
    linger_time_ = linger;
  }
  bool must_close() const { return close_after_response_ || fault_ != 0; }

  // The connection that the calling thread serves; never null within a handler.
  static Connection* current();

  bool is_readable() const override;
  bool is_writable() const override { return !is_gone(); }
  ssize_t read(char* to, size_t size) override;
  ssize_t write(const char* from, size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_; }

 private:
  using Clock = std::chrono::steady_clock;
  bool wait_ready(short events, Clock::time_point deadline) const;
  bool ends_lines_well(const char* text, size_t size);
  void linger();

  socket_t socket_;
  const HttpLimits& limits_;
  const End& server_end_;
  std::array<char, 16 << 10> buffer_;
  size_t begin_ = 0, end_ = 0;  // of what is in the buffer
  size_t budget_ = 0;           // bytes that the request may still have
  Clock::time_point deadline_;
  std::chrono::milliseconds linger_time_{2000};
  bool in_headers_ = false;
  char last_ = 0;  // byte of the headers
  int fault_ = 0;
  bool answered_ = false, close_after_response_ = false;
};

}  // namespace tessera::serve
