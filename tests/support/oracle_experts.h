// Mixtures of experts, in double precision.
#pragma once

#include <string>

#include "support/oracle_file.h"

namespace tessera::oracle {

// What the experts of the layer whose tensors begin with `prefix` make of the normalized rows x.
Rows experts(const OracleFile& f, const std::string& prefix, const Rows& x);
// Gemma 4's, which stand beside a dense network and read the stream as it is.
Rows experts_of_gemma4(const OracleFile& f, const std::string& prefix, const Rows& x);

}  // namespace tessera::oracle
