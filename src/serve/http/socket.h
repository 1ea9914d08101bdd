// A socket that closes itself, and what is asked of sockets.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <string>
#include <utility>

namespace tessera::serve {

class Socket {
 public:
  Socket() = default;
  explicit Socket(int handle) : handle_(handle) {}
  Socket(Socket&& other) noexcept : handle_(std::exchange(other.handle_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Socket();

  int get() const { return handle_; }
  explicit operator bool() const { return handle_ >= 0; }

 private:
  int handle_ = -1;
};

// Waits until one of the `events` of poll(2), an error or a hang-up is there. False if none came.
bool is_ready(int socket, short events, std::chrono::milliseconds time);

struct Address {
  std::string ip;  // as numbers; empty if unknown
  int port = 0;
};
Address peer_of(int socket);
Address own_address_of(int socket);

// The part of a peer's address that one client has for himself: an IPv4 address whole, of an IPv6
// address the first 64 bits.
std::string client_of(int socket);

}  // namespace tessera::serve
