#include "engine/text_stream.h"

#include <algorithm>
#include <utility>

namespace tessera {

std::string TextStream::take(std::string text, bool last) {
  if (stopped_) return {};
  held_ += text;
  size_t end = held_.size();  // of what can be given out
  for (const std::string& stop : stop_) {
    if (stop.empty()) continue;
    if (const size_t at = held_.find(stop); at != std::string::npos) {
      end = stopped_ ? std::min(end, at) : at;
      stopped_ = true;
    }
  }
  if (!stopped_ && !last) {
    // Keep the longest ending of held_ that is a beginning of some stop string.
    for (const std::string& stop : stop_) {
      for (size_t n = std::min(held_.size(), stop.size()); n > 0; --n) {
        if (std::string_view(held_).substr(held_.size() - n) ==
            std::string_view(stop).substr(0, n)) {
          end = std::min(end, held_.size() - n);
          break;
        }
      }
    }
  }
  std::string out = held_.substr(0, end);
  held_.erase(0, end);
  if (stopped_) held_.clear();
  return out;
}

}  // namespace tessera
