// GGUF files that must be refused: each is a small valid file with one thing wrong.
#pragma once

#include <string>
#include <vector>

namespace tessera::test {

struct NamedBytes {
  std::string name;  // what is wrong; fit for a test's or a file's name
  std::string bytes;
};

// A valid file of a few hundred bytes: every metadata type, arrays, and three tensors ("a": F32
// 4 x 2, "b": F16 8, "c": Q8_0 32 x 2).
std::string valid_gguf();

// Opening any of these as a file named without "-00001-of-..." must throw Error with one line.
std::vector<NamedBytes> malformed_gguf_corpus();

}  // namespace tessera::test
