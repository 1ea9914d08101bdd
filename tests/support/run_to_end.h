// Steps an engine until nothing is left to do.
#pragma once

#include "engine/engine.h"

namespace tessera {

inline void run_to_end(Engine& engine) {
  while (engine.step()) {
  }
}

}  // namespace tessera
