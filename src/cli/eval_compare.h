// tessera eval compare: compressed models beside the one they were made of.
#pragma once

#include "cli/commands.h"

namespace tessera::cli {

void add_eval_compare(CLI::App& eval);

}  // namespace tessera::cli
