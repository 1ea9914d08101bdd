#include "serve/http/listener.h"

#include <netdb.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/error.h"

namespace tessera::serve {
namespace {

constexpr int kBacklog = 1024;

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

// "[::1]" as "::1".
std::string without_brackets(const std::string& host) {
  return host.starts_with('[') && host.ends_with(']') ? host.substr(1, host.size() - 2) : host;
}

Addresses resolve(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int status =
      ::getaddrinfo(without_brackets(host).c_str(), std::to_string(port).c_str(), &hints, &found);
  if (status == 0) return {found, ::freeaddrinfo};
  fail("cannot listen on '{}': no such host ({})", host,
       status == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(status));
}

void set(int socket, int level, int option, int value) {
  ::setsockopt(socket, level, option, &value, sizeof value);
}

// errno says why if there is none. SO_REUSEADDR takes a port whose last connections are only just
// closed; SO_REUSEPORT would share it with a server that runs.
Socket bound_to(const addrinfo& address) {
  Socket socket(::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return {};
  set(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (address.ai_family == AF_INET6) set(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
  const bool listens = ::bind(socket.get(), address.ai_addr, address.ai_addrlen) == 0 &&
                       ::listen(socket.get(), kBacklog) == 0;
  if (listens) return socket;
  const int reason = errno;
  socket = Socket();
  errno = reason;
  return {};
}

}  // namespace

std::string why_not_bound(int error_number) {
  switch (error_number) {
    case EADDRINUSE:
      return "another program listens there (--port takes another port, 0 any free one)";
    case EACCES:
      return "this user may not take that port (--port takes another; from 1024 on all may)";
    case EADDRNOTAVAIL:
      return "this machine does not have that address (--host 0.0.0.0 takes all that it has)";
    default:
      return std::strerror(error_number);
  }
}

Socket listen_on(const std::string& host, int port) {
  const Addresses addresses = resolve(host, port);
  int reason = 0;
  for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next) {
    if (Socket socket = bound_to(*address)) return socket;
    // Of several addresses of a name, what is wrong with the first is what matters.
    if (reason == 0) reason = errno;
  }
  fail("cannot listen on {}: {}", url_of(host, port), why_not_bound(reason));
}

std::string url_of(const std::string& host, int port) {
  const bool is_ipv6 = host.find(':') != std::string::npos && !host.starts_with('[');
  return is_ipv6 ? fmt::format("http://[{}]:{}", host, port)
                 : fmt::format("http://{}:{}", host, port);
}

}  // namespace tessera::serve
