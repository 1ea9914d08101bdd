// The subcommands: each file adds one to the command line. Parsing and printing only.
#pragma once

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <nlohmann/json.hpp>
#include <string>

#include "tessera/tessera.h"

namespace tessera::cli {

void add_run(CLI::App& app);
void add_chat(CLI::App& app);
void add_serve(CLI::App& app);
void add_bench(CLI::App& app);
void add_eval(CLI::App& app);
void add_logits(CLI::App& app);
void add_tokenize(CLI::App& app);
void add_inspect(CLI::App& app);
void add_quantize(CLI::App& app);
void add_pull(CLI::App& app);
void add_list(CLI::App& app);
void add_show(CLI::App& app);
void add_rm(CLI::App& app);

// Flags that several commands share.
struct ModelFlags {
  std::string model;
  LoadOptions load;
};
void add_model_flags(CLI::App& command, ModelFlags& flags);
void add_sampling_flags(CLI::App& command, GenerateOptions& options);

// Loads with a bar on standard error, if that is a terminal; there it offers to download first what
// is not here yet.
LanguageModel load_model(ModelFlags& flags);

// Prints one JSON object and a newline on standard output.
void print_json(const nlohmann::ordered_json& json);
// Writes to standard output; Error if that fails (a closed pipe, a full disk).
void print(std::string_view text);

// Reads a whole file, "-" for standard input. Error if it cannot be read.
std::string read_text(const std::string& path);
// Error naming the first bad byte unless `text` is UTF-8.
void require_utf8(const std::string& what, std::string_view text);

nlohmann::ordered_json to_json(const Generation& generation, double load_ms,
                               const std::string& decoder);
// "18 tokens/s" of a generation's two phases, for people.
std::string describe_speed(const Generation& generation);

// Whether Ctrl-C was pressed since the last reset, which also takes over the signal.
bool interrupted();
void reset_interrupted();

}  // namespace tessera::cli
