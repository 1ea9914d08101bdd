#include "serve/http/connection.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace tessera::serve {
namespace {

thread_local Connection* current_connection = nullptr;

constexpr std::chrono::milliseconds kGlance{200};  // how late a server's end may be seen

bool is_ready(socket_t socket, short events, std::chrono::milliseconds time) {
  pollfd entry{.fd = socket, .events = events, .revents = 0};
  const int ready = ::poll(&entry, 1, static_cast<int>(std::max<int64_t>(0, time.count())));
  return ready > 0 && (entry.revents & (events | POLLHUP | POLLERR)) != 0;
}

void name_of(const sockaddr_storage& address, socklen_t size, std::string& ip, int& port) {
  char host[NI_MAXHOST] = {}, service[NI_MAXSERV] = {};
  if (::getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host, sizeof host, service,
                    sizeof service, NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return;
  }
  ip = host;
  port = std::atoi(service);
}

}  // namespace

Connection::Connection(socket_t socket, const HttpLimits& limits, const End& end)
    : socket_(socket), limits_(limits), server_end_(end) {
  current_connection = this;
}

Connection::~Connection() {
  current_connection = nullptr;
  linger();
  ::close(socket_);
}

Connection* Connection::current() {
  return current_connection;
}

// False when the time is over or the server breaks off.
bool Connection::wait_ready(short events, Clock::time_point deadline) const {
  while (!server_end_.broken_off) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (is_ready(socket_, events, std::min(left, kGlance))) return true;
    if (left.count() <= 0) return false;
  }
  return false;
}

// Closing a socket with unread bytes resets it, and the client may lose the response: so what it
// still sends is read away, for a moment.
void Connection::linger() {
  if (!must_close()) return;
  ::shutdown(socket_, SHUT_WR);
  const auto end = Clock::now() + linger_time_;
  size_t budget = limits_.body_bytes * 2;
  while (Clock::now() < end) {
    if (!wait_ready(POLLIN, end)) return;
    const ssize_t count = ::recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (count <= 0 || static_cast<size_t>(count) >= budget) return;
    budget -= count;
  }
}

bool Connection::wait_for_request() {
  const auto end = Clock::now() + limits_.idle_time;
  while (begin_ == end_ && !is_ready(socket_, POLLIN, kGlance)) {
    if (server_end_.stopping || Clock::now() >= end || is_gone()) return false;
  }
  in_headers_ = true;
  answered_ = false;
  last_ = 0;
  budget_ = limits_.header_bytes;
  deadline_ = Clock::now() + limits_.header_time;
  return true;
}

void Connection::begin_body() {
  in_headers_ = false;
  // Chunked bodies have some bytes around each chunk; what is in them is limited by httplib.
  budget_ = limits_.body_bytes + limits_.body_bytes / 2 + (64 << 10);
  deadline_ = Clock::now() + limits_.body_time;
}

bool Connection::is_gone() const {
  pollfd entry{.fd = socket_, .events = POLLRDHUP, .revents = 0};
  return ::poll(&entry, 1, 0) > 0 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

bool Connection::is_readable() const {
  return begin_ < end_ || is_ready(socket_, POLLIN, std::chrono::milliseconds(0));
}

bool Connection::ends_lines_well(const char* text, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    if (text[i] == '\n' && last_ != '\r') return false;
    last_ = text[i];
  }
  return true;
}

ssize_t Connection::read(char* to, size_t size) {
  if (budget_ == 0) {
    fault_ = 413;
    return -1;
  }
  while (begin_ == end_) {
    if (!wait_ready(POLLIN, deadline_)) {
      fault_ = 408;
      return -1;
    }
    const ssize_t count = ::recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (count <= 0) return count;
    begin_ = 0;
    end_ = static_cast<size_t>(count);
  }
  const size_t count = std::min({size, end_ - begin_, budget_});
  std::copy_n(buffer_.data() + begin_, count, to);
  if (in_headers_ && !ends_lines_well(to, count)) {
    fault_ = 400;
    return -1;
  }
  begin_ += count;
  budget_ -= count;
  return static_cast<ssize_t>(count);
}

ssize_t Connection::write(const char* from, size_t size) {
  answered_ = true;
  size_t written = 0;
  while (written < size) {
    if (!wait_ready(POLLOUT, Clock::now() + limits_.write_time)) return -1;
    const ssize_t count =
        ::send(socket_, from + written, size - written, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (count <= 0) return -1;
    written += static_cast<size_t>(count);
  }
  return static_cast<ssize_t>(size);
}

void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getpeername(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    name_of(address, size, ip, port);
  }
}

void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    name_of(address, size, ip, port);
  }
}

}  // namespace tessera::serve
