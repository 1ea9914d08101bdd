// What compiling the schemas of one request may cost. They come from strangers: whatever takes time
// or memory that does not grow with the text alone is charged here, and refused before it is done.
#pragma once

#include <array>
#include <cstddef>

namespace tessera::grammar {

enum class Cost {
  kText,       // bytes of schemas
  kStates,     // of languages: about a microsecond or two and a hundred bytes each
  kCombining,  // of alternatives: about a microsecond and some fifty bytes each
  kSyntax,     // expressions and bytes of literals: some two hundred bytes each
};

// While it lives, all that this thread spends is counted together. One within another counts
// towards that one, unless it is kApart.
class SchemaBudget {
 public:
  enum class Scope { kShared, kApart };

  explicit SchemaBudget(Scope scope = Scope::kShared);
  ~SchemaBudget();
  SchemaBudget(const SchemaBudget&) = delete;
  SchemaBudget& operator=(const SchemaBudget&) = delete;

  // Throws Error where too much is spent. Where there is no budget, nothing is counted.
  static void spend(Cost cost, size_t amount);

 private:
  SchemaBudget* const outer_;
  std::array<size_t, 4> spent_{};
};

}  // namespace tessera::grammar
