// Numbers of any magnitude in 8 bits: a "dynamic" map, linear within each of seven powers of ten
// (Dettmers et al. 2022, arXiv 2110.02861, "8-bit optimizers via block-wise quantization";
// bitsandbytes: create_dynamic_map).
#pragma once

#include <array>

namespace tessera {

// What the codes stand for, ascending: in [-1, 1], with 64 steps from 0.1 to 1,
const std::array<float, 256>& signed_dynamic_map();
// and in [0, 1], with 128.
const std::array<float, 256>& unsigned_dynamic_map();

}  // namespace tessera
