// Which instruction set the kernels run with.
#pragma once

namespace tessera::cpu {

// Highway's name of the target chosen at run time: "SSE4", "AVX2", "AVX3", "AVX3_DL", "NEON".
// The environment variable TESSERA_TARGET=SSE4|AVX2|AVX3|AVX3_DL caps the choice (for tests).
const char* target_name();

}  // namespace tessera::cpu
