#include "base/human_bytes.h"

#include <fmt/format.h>

namespace tessera {

std::string human_bytes(uint64_t bytes) {
  const double value = static_cast<double>(bytes);
  if (value >= 1e9) return fmt::format("{:.2f} GB", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.2f} MB", value / 1e6);
  return fmt::format("{} bytes", bytes);
}

}  // namespace tessera
