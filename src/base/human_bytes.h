// Sizes for people, in powers of ten as disks and networks are sold: "98.36 MB".
#pragma once

#include <cstdint>
#include <string>

namespace tessera {

std::string human_bytes(uint64_t bytes);

}  // namespace tessera
