// A compiled regular expression. Texts come from anybody, and so do the expressions of a model's
// files: a match that takes too many steps, or too much memory, is an Error.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "base/function_ref.h"

namespace tessera {

class Regex {
 public:
  // The memory that matching needs: one for each thread, or for each call.
  class Scratch {
   public:
    Scratch();
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

   private:
    friend class Regex;
    struct Memory;
    std::unique_ptr<Memory> memory_;
  };

  enum class Empty { kRefused, kAllowed };

  // `pattern` is in PCRE2's syntax, UTF-8. Throws Error if it is malformed.
  explicit Regex(std::string_view pattern);
  ~Regex();
  Regex(Regex&&) noexcept;

  // The first match at or after `from`, as begin and end. `text` is valid UTF-8, `from` the
  // beginning of a character or the end. Any number of threads may match at a time.
  std::optional<std::pair<size_t, size_t>> match(std::string_view text, size_t from,
                                                 Scratch& scratch,
                                                 Empty empty = Empty::kRefused) const;

  // Calls visit(begin, end) for one match after another. Empty ones count, but not directly behind
  // another match.
  void for_each_match(std::string_view text, Scratch& scratch,
                      FunctionRef<void(size_t, size_t)> visit) const;

  // Whether PCRE2 knows the pattern's syntax and names.
  static bool is_valid(std::string_view pattern);

 private:
  struct Code;
  std::unique_ptr<const Code> code_;
};

}  // namespace tessera
