#include "serve/http/socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace tessera::serve {
namespace {

using AddressCall = int (*)(int, sockaddr*, socklen_t*);

Address address_of(int socket, AddressCall call) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  char host[NI_MAXHOST] = {}, service[NI_MAXSERV] = {};
  if (call(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      ::getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host, sizeof host, service,
                    sizeof service, NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return {};
  }
  return {host, std::atoi(service)};
}

}  // namespace

Socket::~Socket() {
  if (handle_ >= 0) ::close(handle_);
}

bool is_ready(int socket, short events, std::chrono::milliseconds time) {
  pollfd entry{.fd = socket, .events = events, .revents = 0};
  const int ready = ::poll(&entry, 1, static_cast<int>(std::max<int64_t>(0, time.count())));
  return ready > 0 && (entry.revents & (events | POLLHUP | POLLERR)) != 0;
}

Address peer_of(int socket) {
  return address_of(socket, ::getpeername);
}

Address own_address_of(int socket) {
  return address_of(socket, ::getsockname);
}

std::string client_of(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  if (address.ss_family == AF_INET6) {
    const in6_addr& ip = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
    const auto* bytes = reinterpret_cast<const char*>(ip.s6_addr);
    return IN6_IS_ADDR_V4MAPPED(&ip) ? std::string(bytes + 12, 4) : std::string(bytes, 8);
  }
  if (address.ss_family != AF_INET) return {};
  const in_addr& ip = reinterpret_cast<const sockaddr_in&>(address).sin_addr;
  return {reinterpret_cast<const char*>(&ip), sizeof ip};
}

}  // namespace tessera::serve
