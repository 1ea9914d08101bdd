// Any bytes as a GBNF grammar, and answers that keep to it.
#include <cstddef>
#include <cstdint>
#include <span>

#include "fuzz/grammar_walk.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tessera::testing::walk_input(
      std::span(data, size), [](auto& structured, auto text) { return structured.grammar(text); });
  return 0;
}
