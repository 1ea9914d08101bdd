// tessera bench --decoders.
#pragma once

#include <string>
#include <vector>

#include "cli/commands.h"
#include "evaluate/decoder_bench.h"

namespace tessera::cli {

// Runs and prints it: a table, or a JSON list. Each of `files` is a set of prompts: a JSON object a
// line, with "prompt" (and "prediction", what the answer will resemble) or "turns", of which the
// first is asked. `svg_path`: where to write a picture, too; may be empty.
void bench_decoders(ModelFlags& model, const DecoderBenchOptions& options,
                    const std::vector<std::string>& files, const JsonFlags& json,
                    const std::string& svg_path);

}  // namespace tessera::cli
