// Any bytes as a GBNF grammar, those after a zero byte as choices of an answer: a grammar or an
// Error, never a crash, a hang or a dead end.
#include <algorithm>
#include <cstddef>
#include <string_view>

#include "base/error.h"
#include "fuzz/grammar_walk.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> input(data, size);
  const auto zero = std::ranges::find(input, 0);
  const std::string_view text(reinterpret_cast<const char*>(data),
                              static_cast<size_t>(zero - input.begin()));
  try {
    tessera::StructuredOutput structured(tessera::testing::walk_tokenizer());
    tessera::testing::walk(*structured.grammar(text), input.subspan(text.size()));
  } catch (const tessera::Error&) {
  }
  return 0;
}
