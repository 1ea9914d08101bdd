#include "serve/sse.h"

namespace tessera::serve {

// JSON in one line holds no line break, so an object is always one data field.
std::string events(const std::vector<Json>& objects) {
  std::string out;
  for (const Json& object : objects) out += "data: " + to_text(object) + "\n\n";
  return out;
}

std::string last_event() {
  return "data: [DONE]\n\n";
}

std::string keep_alive() {
  return ": waiting\n\n";
}

}  // namespace tessera::serve
