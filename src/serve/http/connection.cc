#include "serve/http/connection.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "serve/http/threads.h"

namespace tessera::serve {
namespace {

thread_local Connection* current_connection = nullptr;

constexpr std::chrono::milliseconds kGlance{200};  // how late a server's end may be seen
constexpr std::chrono::seconds kLinger{2};
constexpr size_t kReadAtOnce = 16 << 10;
constexpr size_t kLight = 16 << 10;  // of a body that is made ready in no time

}  // namespace

Connection::Connection(Socket socket, std::string received, const HttpLimits& limits,
                       const House& house)
    : socket_(std::move(socket)),
      limits_(limits),
      house_(house),
      buffer_(std::move(received)),
      client_{.name = client_of(socket_.get())} {
  current_connection = this;
}

Connection::~Connection() {
  current_connection = nullptr;
  linger();
}

Connection* Connection::current() {
  return current_connection;
}

// False when the time is over or the server breaks off.
bool Connection::wait_ready(short events, Clock::time_point deadline) const {
  while (!house_.broken_off) {
    const auto left = std::chrono::duration_cast<Milliseconds>(deadline - Clock::now());
    if (is_ready(socket_.get(), events, std::min(left, kGlance))) return true;
    if (left.count() <= 0) return false;
  }
  return false;
}

// Closing a socket with unread bytes resets it, and the client may lose the response: so what it
// still sends is read away, for a moment.
void Connection::linger() {
  if (!fault_ && body_.is_done()) return;
  ::shutdown(socket_.get(), SHUT_WR);
  const auto end = Clock::now() + kLinger;
  size_t budget = limits_.body_bytes * 2;
  buffer_.resize(kReadAtOnce);
  while (Clock::now() < end) {
    if (!wait_ready(POLLIN, end)) return;
    const ssize_t count = ::recv(socket_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (count <= 0 || static_cast<size_t>(count) >= budget) return;
    budget -= count;
  }
}

bool Connection::wait_for_first_byte() {
  const auto since = Clock::now();
  const Patience patience{limits_.idle_time, limits_.scarce_time};
  while (unread().empty() && !is_ready(socket_.get(), POLLIN, kGlance)) {
    if (house_.stopping || Clock::now() >= since + now(patience) || is_gone()) return false;
  }
  return true;
}

// Adds what comes to the buffer. False if the client is gone. Throws 408 when the time since then
// is over.
bool Connection::receive(Clock::time_point since, const Patience& patience) {
  while (!is_ready(socket_.get(), POLLIN, kGlance)) {
    if (house_.broken_off || Clock::now() >= since + now(patience)) throw error_of_status(408);
  }
  buffer_.erase(0, std::exchange(read_, 0));
  const size_t had = buffer_.size();
  buffer_.resize(had + kReadAtOnce);
  const ssize_t count = ::recv(socket_.get(), buffer_.data() + had, kReadAtOnce, MSG_DONTWAIT);
  buffer_.resize(had + static_cast<size_t>(std::max<ssize_t>(count, 0)));
  return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR));
}

bool Connection::next_request() {
  if (!wait_for_first_byte()) return false;
  try {
    const auto since = Clock::now();
    const Patience patience{limits_.header_time, limits_.scarce_time};
    HeadScanner scanner(limits_.header_bytes);
    size_t size = scanner.scan(unread());
    for (; size == 0; size = scanner.scan(unread())) {
      if (!receive(since, patience)) return false;
    }
    head_ = parse_head(unread().substr(0, size));
    read_ += size;
  } catch (const ApiError& error) {
    fault_ = error;
    return false;
  }
  plain_head_ = fmt::format("{} {} {}\r\n\r\n", head_.method, head_.target, head_.version);
  plain_read_ = 0;
  body_ = BodyDecoder(head_, limits_.body_bytes);
  body_since_ = Clock::now();
  body_bytes_ = 0;
  return true;
}

void Connection::begin_preparing() {
  if (body_bytes_ > kLight) step_back();
  pass_ = house_.gate.enter(client_.name, [this] { return is_gone(); });
}

void Connection::end_preparing() {
  if (request_ != nullptr) std::string().swap(request_->body);
  reserved_.clear();
  pass_ = {};
}

void Connection::request_is_over() {
  request_ = nullptr;
  end_preparing();
}

// Sees to it that what may come is within the client's share of what all requests may take. A body
// of unknown length has room to double.
void Connection::reserve_body(size_t bytes) {
  size_t room = 0;
  for (const Places::Place& place : reserved_) room += static_cast<size_t>(place.count());
  if (bytes <= room) return;
  const size_t wanted = head_.content_length.value_or(std::max(kReadAtOnce, 2 * room));
  Places::Place place = house_.bodies.enter(client_.name, static_cast<int64_t>(wanted - room));
  if (!place) {
    ApiError busy{503, "server_error", "the server holds too many large requests already"};
    busy.retry_after = 1;
    throw busy;
  }
  reserved_.push_back(std::move(place));
}

bool Connection::is_gone() const {
  pollfd entry{.fd = socket_.get(), .events = POLLRDHUP, .revents = 0};
  return ::poll(&entry, 1, 0) > 0 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

bool Connection::is_readable() const {
  return plain_read_ < plain_head_.size() || !unread().empty() ||
         is_ready(socket_.get(), POLLIN, Milliseconds(0));
}

ssize_t Connection::read(char* to, size_t size) {
  if (plain_read_ < plain_head_.size()) {
    const size_t count = plain_head_.copy(to, size, plain_read_);
    plain_read_ += count;
    return static_cast<ssize_t>(count);
  }
  try {
    return read_body(to, size);
  } catch (const ApiError& error) {
    fault_ = error;
    return -1;
  }
}

ssize_t Connection::read_body(char* to, size_t size) {
  while (!body_.is_done()) {
    std::string_view wire = unread();
    const std::string_view content = body_.take(wire, std::min(size, kReadAtOnce));
    read_ = buffer_.size() - wire.size();
    body_bytes_ += content.size();
    reserve_body(body_bytes_);
    if (!content.empty()) return static_cast<ssize_t>(content.copy(to, size));
    if (body_.is_done()) break;
    if (std::exchange(head_.expects_continue, false)) {
      constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      write(kContinue.data(), kContinue.size());
    }
    if (!receive(body_since_, {limits_.body_time, limits_.body_time})) return -1;
  }
  return 0;
}

ssize_t Connection::write(const char* from, size_t size) {
  size_t written = 0;
  while (written < size) {
    if (!wait_ready(POLLOUT, Clock::now() + limits_.write_time)) return -1;
    const ssize_t count =
        ::send(socket_.get(), from + written, size - written, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (count <= 0) return -1;
    written += static_cast<size_t>(count);
  }
  return static_cast<ssize_t>(size);
}

void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  const Address address = peer_of(socket_.get());
  ip = address.ip;
  port = address.port;
}

void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  const Address address = own_address_of(socket_.get());
  ip = address.ip;
  port = address.port;
}

}  // namespace tessera::serve
