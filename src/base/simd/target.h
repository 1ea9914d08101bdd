// Which instruction set the kernels run with.
#pragma once

#include <string_view>
#include <vector>

namespace tessera {

// Highway's name of the target chosen at run time: "SSE4", "AVX2", "AVX3", "AVX3_DL", "NEON".
// The environment variable TESSERA_TARGET=SSE4|AVX2|AVX3|AVX3_DL caps the choice (for tests).
const char* target_name();

// Applies TESSERA_TARGET, once; every ThreadPool does so before a kernel can run. Throws Error if
// the variable names no target that this program holds.
void choose_target();

// The targets that this machine can run, best first: none above TESSERA_TARGET.
std::vector<const char*> available_targets();

// Uses the named target, or the best below it that is available, from now on; "" is the best of
// them. Throws Error for a name that is no target of this program. For tests: no kernel may be
// running.
void cap_target(std::string_view name);

}  // namespace tessera
