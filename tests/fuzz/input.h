// What the fuzz targets share: an input taken byte by byte, and what an error has to be.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

namespace tessera::fuzz {

// Zeros, once it is used up.
struct Input {
  const uint8_t* data;
  size_t size;

  uint8_t byte() {
    if (size == 0) return 0;
    --size;
    return *data++;
  }
  std::string line() {
    const std::string_view rest(reinterpret_cast<const char*>(data), size);
    std::string text(rest.substr(0, rest.find('\n')));
    const size_t used = std::min(text.size() + 1, size);
    data += used;
    size -= used;
    return text;
  }
};

// Nothing that a stranger wrote may move a terminal's cursor.
inline void require_one_line(const std::exception& error) {
  for (const char c : std::string_view(error.what())) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) std::abort();
  }
}

}  // namespace tessera::fuzz
