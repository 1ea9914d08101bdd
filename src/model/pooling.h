// How the final hidden states of a text become one vector, its embedding.
#pragma once

#include <cstdint>

namespace tessera {

enum class Pooling : uint8_t {
  kNone,  // they do not
  kMean,  // of all tokens
  kCls,   // that of the first token
  kLast,  // that of the last
};

}  // namespace tessera
