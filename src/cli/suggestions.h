// Errors of the command line that say what was meant.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace tessera::cli {

// " (did you mean 'run'?)", or "" if no candidate is near.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates);

// Makes every option of the program take one value, as it is written: no list in brackets, and none
// of the words behind it. What should be a number is said to be none.
void tame_options(CLI::App& app);

// What was wrong with the arguments, in one line.
std::string describe(const CLI::ParseError& error, const CLI::App& app);

}  // namespace tessera::cli
