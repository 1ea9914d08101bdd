// The files of ui/, embedded in the program by CMake (cmake/embed.cmake).
#pragma once

#include <span>
#include <string_view>

namespace tessera::serve {

struct Asset {
  std::string_view path;  // "index.html", "chat/view.js": below ui/
  std::string_view bytes;
  std::string_view etag;  // of these bytes, in quotes
};

// All of them; none if the program was built without a ui/ folder.
std::span<const Asset> assets();
// By the ending of the path: "text/html; charset=utf-8".
std::string_view content_type_of(std::string_view path);

}  // namespace tessera::serve
