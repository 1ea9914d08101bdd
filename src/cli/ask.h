// Questions to people, and what they are asked about models that are not here yet.
#pragma once

#include <string>

namespace tessera::cli {

// Whether somebody sits there: standard input and standard error are terminals.
bool can_ask();

// Asks on standard error and reads a line: true for an answer that begins with "y", `otherwise` for
// an empty one, false for everything else and at the end of input.
bool ask(const std::string& question, bool otherwise);

// Offers to download the model if it is not here and can be pulled. Where nobody can be asked, or
// the answer is no, it is left to the one who loads the model to say what is missing.
void offer_download(const std::string& reference);

}  // namespace tessera::cli
