// SentencePiece's text normalization (NFKC and the like), compiled to a table of replacements.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

// precompiled_charsmap of a SentencePiece model: a little-endian 32-bit length, so many bytes of a
// double array (Darts-clone: Yata et al. 2007; one 32-bit unit per node) that maps strings to
// offsets, and NUL-terminated replacement strings at these offsets.
class Charsmap {
 public:
  Charsmap() = default;  // replaces nothing
  // Throws Error if the blob is cut short or its parts are malformed.
  explicit Charsmap(std::string_view blob);

  struct Replacement {
    size_t consumed;  // bytes of the text that are replaced, 0 if no key is at its beginning
    std::string_view text;
  };
  // For the longest key that `text` begins with.
  Replacement find(std::string_view text) const;
  // For the shortest one.
  Replacement find_shortest(std::string_view text) const;

 private:
  Replacement find(std::string_view text, bool shortest) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace tessera
