#include "serve/http/lobby.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <exception>
#include <thread>
#include <utility>

#include "base/log.h"

namespace tessera::serve {
namespace {

constexpr std::chrono::milliseconds kLobbyGlance{200};  // how late a deadline may be seen
constexpr std::chrono::seconds kLinger{2};        // for a client to read why it is turned away
constexpr std::chrono::milliseconds kBreath{10};  // while all files are open elsewhere
constexpr int kAcceptedAtOnce = 64;

}  // namespace

Lobby::Lobby(const Socket& listener, const HttpLimits& limits, House house)
    : listener_(listener), limits_(limits), house_(std::move(house)) {}

void Lobby::end() {
  ended_ = true;
  ::shutdown(listener_.get(), SHUT_RDWR);  // which wakes the one who polls it
}

void Lobby::run() {
  while (!ended_) {
    try {
      round();
    } catch (const std::exception& error) {  // out of memory, most likely
      spdlog::error("a connection was lost: {}", error.what());
      if (!guests_.empty()) guests_.pop_front();
    }
  }
  guests_.clear();
}

void Lobby::round() {
  polled_.assign(1, {.fd = listener_.get(), .events = POLLIN, .revents = 0});
  for (const Waiting& guest : guests_) {
    polled_.push_back({.fd = guest.socket.get(), .events = POLLIN, .revents = 0});
  }
  const int time = guests_.empty() ? -1 : static_cast<int>(kLobbyGlance.count());
  if (::poll(polled_.data(), polled_.size(), time) < 0) return;
  size_t index = 1;
  for (auto guest = guests_.begin(); guest != guests_.end(); ++index) {
    guest = attend(*guest, polled_[index].revents != 0) ? std::next(guest) : guests_.erase(guest);
  }
  if (polled_[0].revents != 0 && !ended_) accept_some();
}

void Lobby::accept_some() {
  for (int i = 0; i < kAcceptedAtOnce; ++i) {
    Socket socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) {
      if (errno == EMFILE || errno == ENFILE) make_room();
      return;
    }
    if (guests_.size() >= static_cast<size_t>(limits_.waiting)) make_room();
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    guests_.emplace_back(std::move(socket), limits_);
    // Most have sent their request by now, and need not wait for another round.
    if (!attend(guests_.back(), true)) guests_.pop_back();
  }
}

void Lobby::make_room() {
  if (guests_.empty()) {
    std::this_thread::sleep_for(kBreath);
  } else {
    guests_.pop_front();
  }
}

bool Lobby::attend(Waiting& guest, bool readable) {
  try {
    if (readable && !listen_to(guest)) return false;
    if (Clock::now() < guest.deadline) return true;
    if (guest.leaves || guest.received.empty()) return false;
    throw error_of_status(408);
  } catch (const ApiError& error) {
    turn_away(guest, error);
    return true;
  }
}

bool Lobby::listen_to(Waiting& guest) {
  std::array<char, 16 << 10> buffer;
  const ssize_t count = ::recv(guest.socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  if (count == 0) return false;
  if (guest.leaves) return true;
  if (guest.received.empty()) guest.deadline = Clock::now() + limits_.header_time;
  guest.received.append(buffer.data(), static_cast<size_t>(count));
  if (guest.scanner.scan(guest.received) == 0) return true;
  const auto refusal = house_.admit(guest);
  if (refusal) turn_away(guest, *refusal);
  return refusal.has_value();
}

// Closing a socket with unread bytes resets it, and the client may lose the response: so what it
// still sends is read away, for a moment.
void Lobby::turn_away(Waiting& guest, const ApiError& error) {
  const std::string response = whole_response(error);
  ::send(guest.socket.get(), response.data(), response.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ::shutdown(guest.socket.get(), SHUT_WR);
  house_.turned_away(error.status);
  guest.leaves = true;
  guest.received = {};
  guest.deadline = Clock::now() + kLinger;
}

}  // namespace tessera::serve
