// What one client may send, how long it may take, and how many may be there.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace tessera::serve {

struct HttpLimits {
  size_t header_bytes = 64 << 10;  // request line and headers
  size_t body_bytes = 8 << 20;
  int64_t all_body_bytes() const {  // of requests that are being read and made ready
    return std::max<int64_t>(64 << 20, 4 * static_cast<int64_t>(body_bytes));
  }
  int preparing = 0;  // requests that are made ready at once; 0: one for each core, at most 4
  std::chrono::seconds header_time{15};  // from the first byte to the last header
  std::chrono::seconds body_time{60};    // from there to the end of the body
  std::chrono::seconds idle_time{60};    // between two requests
  std::chrono::seconds scarce_time{2};  // instead of header_time and idle_time where places are few
  std::chrono::seconds write_time{30};  // without the client taking anything
  int connections = 512;                // at once
  int client_connections = std::numeric_limits<int>::max();  // of one address, within its share
  int waiting = 1024;  // connections whose request has not come yet; beyond, the oldest has to go
};

}  // namespace tessera::serve
