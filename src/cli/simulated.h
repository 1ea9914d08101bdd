// Flags of commands that measure what rounding to integers would cost.
#pragma once

#include <string>

#include "cli/commands.h"
#include "engine/session.h"

namespace tessera::cli {

struct RoundingFlags {
  std::string weights, activations;  // parse_rounding(); "": as they are
  std::string calibration_file;
  int calibration_chunks = 16;
};
void add_rounding_flags(CLI::App& command, RoundingFlags& flags);

// The model, rounded as the flags say.
Session load_rounded(const ModelFlags& model, const RoundingFlags& flags);

}  // namespace tessera::cli
