// Bytes of a connection: requests or an ApiError, the same however the bytes come.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "serve/http/api_error.h"
#include "serve/http/framing.h"

namespace {

using namespace tessera::serve;

constexpr size_t kMostHead = 4096, kMostBody = 1024;

// What is in the requests, and how it ends. `step`: bytes that come at once.
std::string read_all(std::string_view wire, size_t step) {
  std::string found;
  try {
    while (!wire.empty()) {
      HeadScanner scanner(kMostHead);
      size_t size = 0;
      for (size_t come = step; size == 0; come += step) {
        size = scanner.scan(wire.substr(0, come));
        if (size == 0 && come >= wire.size()) return found + " a head is cut";
      }
      const RequestHead head = parse_head(wire.substr(0, size));
      wire.remove_prefix(size);
      found += head.method + " " + head.target + "\n";
      for (const auto& [name, value] : head.fields) found += name + ": " + value + "\n";
      BodyDecoder body(head, kMostBody);
      while (!body.is_done()) {
        if (wire.empty()) return found + " a body is cut";
        std::string_view part = wire.substr(0, step);
        const size_t came = part.size();
        while (!part.empty() && !body.is_done()) found += body.take(part, 100);
        wire.remove_prefix(came - part.size());
      }
    }
  } catch (const ApiError& error) {
    return found + " " + std::to_string(error.status);
  }
  return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view wire(reinterpret_cast<const char*>(data), size);
  const std::string whole = read_all(wire, size + 1);
  for (const size_t step : {1, 7}) {
    if (read_all(wire, step) != whole) std::abort();
  }
  return 0;
}
