// The subcommands: each file adds one to the command line. Parsing and printing only.
#pragma once

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

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
void add_prune(CLI::App& app);
void add_imatrix(CLI::App& app);
void add_train(CLI::App& app);
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
// --lora, which add_model_flags() has.
void add_lora_flag(CLI::App& command, std::vector<LoraFile>& files, const std::string& help);
// Of the commands that decode.
void add_draft_flag(CLI::App& command, LoadOptions& load);
void add_sampling_flags(CLI::App& command, GenerateOptions& options);
// What no flag of the command was given for becomes what the model comes with.
void settle_sampling(const CLI::App& command, const LanguageModel& model, SamplingOptions& options);
// "temperature 0.7, top-k 20, top-p 0.8, min-p 0.05".
std::string describe_sampling(const SamplingOptions& options);
// Takes what parse_decoder() takes.
CLI::Validator decoder_validator();
// Of the commands that put messages into a chat template.
CLI::Option* add_chat_template_flag(CLI::App& command, std::string& name_or_file);
CLI::Option* add_parse_special_flag(CLI::App& command, bool& parse_special);

// Loads with a bar on standard error, if that is a terminal; there it offers to download first what
// is not here yet.
LanguageModel load_model(ModelFlags& flags);

// How a result is printed for programs.
struct JsonFlags {
  bool wanted = false, pretty = false;
};
// --json, and --pretty, which implies it. `fields`: lines that show what the JSON has.
void add_json_flags(CLI::App& command, JsonFlags& flags, const std::string& help,
                    const std::string& fields);
// Ends the help of every command.
void add_exit_statuses(CLI::App& app);
// Prints it on standard output: on one line, unless it is to be pretty.
void print_json(const nlohmann::ordered_json& json, const JsonFlags& flags = {});
// Writes to standard output; Error if that fails (a closed pipe, a full disk).
void print(std::string_view text);

// Reads a whole file, "-" for standard input. Error if it cannot be read.
std::string read_text(const std::string& path);
// Error naming the first bad byte unless `text` is UTF-8.
void require_utf8(const std::string& what, std::string_view text);

// Times and rates have four digits.
nlohmann::ordered_json to_json(const Generation& generation, double load_ms,
                               const std::string& decoder);
// How fast it was and with which seed, for people.
std::string describe_run(const Generation& generation);
// A warning if the answer ended because `model`'s context did.
void warn_if_cut(const LanguageModel& model, const Generation& generation, int max_tokens);
// A warning that a model without a chat template is asked in one. `completion`: what completes
// plain text instead.
void warn_without_template(const std::string& model, std::string_view completion);

// Whether Ctrl-C was pressed since the last reset, which also takes over the signal.
bool interrupted();
void reset_interrupted();

}  // namespace tessera::cli
