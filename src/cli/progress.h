// What a long operation of the library says of its progress, on a bar.
#pragma once

#include <cstdint>
#include <type_traits>

#include "base/log.h"

namespace tessera::cli {

// For callbacks of what is done, and all of it: whole numbers, or layers and parts of one.
inline auto shown_on(ProgressBar& bar) {
  return [&bar](auto done, auto total) {
    constexpr int kSteps = std::is_floating_point_v<decltype(done)> ? 100 : 1;
    bar.set_total(static_cast<uint64_t>(kSteps * total));
    bar.update(static_cast<uint64_t>(kSteps * done));
  };
}

}  // namespace tessera::cli
