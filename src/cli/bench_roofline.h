// tessera bench --roofline.
#pragma once

#include <string>

#include "cli/commands.h"
#include "evaluate/bench.h"

namespace tessera::cli {

// Runs and prints it: tables, or one JSON object. Unless `svg_path` is empty, also writes the
// picture.
void bench_roofline(ModelFlags& model, BenchOptions options, const JsonFlags& json,
                    const std::string& svg_path);

}  // namespace tessera::cli
