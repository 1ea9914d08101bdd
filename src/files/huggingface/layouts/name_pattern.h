// Regular expressions over module names, out of a configuration that a stranger wrote: in bounded
// time, whatever they are.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace tessera::huggingface {

// As many as a configuration may have: each is tried with each module.
inline constexpr size_t kMostNamePatterns = 4096;

class NamePattern {
 public:
  // Error if it is no expression (of PCRE2, which has what Python's `re` has).
  explicit NamePattern(const std::string& pattern);
  // Does the name begin with a match, as Python's re.match wants it? Error if that takes too long.
  bool matches(std::string_view name) const;

 private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
  std::string pattern_;
};

}  // namespace tessera::huggingface
