// The version of Tessera: what these headers belong to, and what `tessera --version` says.
// CMake reads it from here; there is no other place that says it.
#pragma once

#define TESSERA_VERSION_MAJOR 0
#define TESSERA_VERSION_MINOR 1
#define TESSERA_VERSION_PATCH 0
#define TESSERA_VERSION "0.1.0"

// For comparisons in #if: 10000 * major + 100 * minor + patch.
#define TESSERA_VERSION_NUMBER \
  (TESSERA_VERSION_MAJOR * 10000 + TESSERA_VERSION_MINOR * 100 + TESSERA_VERSION_PATCH)
