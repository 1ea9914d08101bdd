#include "serve/http/sse.h"

namespace tessera::serve {

std::string event(const std::string& data) {
  return "data: " + data + "\n\n";
}

// JSON in one line holds no line break, so an object is always one data field.
std::string events(const std::vector<Json>& objects) {
  std::string out;
  for (const Json& object : objects) out += event(to_text(object));
  return out;
}

std::string last_event() {
  return event("[DONE]");
}

std::string keep_alive() {
  return ": waiting\n\n";
}

}  // namespace tessera::serve
