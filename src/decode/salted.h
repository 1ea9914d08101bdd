// What is kept for each salt apart, for a few of them: what one salt has seen, no other may notice.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tessera {

template <typename T>
class Salted {
 public:
  // That of a salt, new if there is none. Those that nobody has asked for longest are forgotten.
  std::shared_ptr<T> of(const std::string& salt) {
    const auto found = std::ranges::find(kept_, salt, &Entry::first);
    if (found != kept_.end()) {
      std::rotate(kept_.begin(), found, found + 1);
    } else {
      kept_.emplace(kept_.begin(), salt, std::make_shared<T>());
      if (kept_.size() > kMost) kept_.pop_back();
    }
    return kept_.front().second;
  }

 private:
  using Entry = std::pair<std::string, std::shared_ptr<T>>;
  static constexpr size_t kMost = 8;

  std::vector<Entry> kept_;  // the one used last is the first
};

}  // namespace tessera
