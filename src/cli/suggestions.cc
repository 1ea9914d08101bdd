#include "cli/suggestions.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/closest.h"

namespace tessera::cli {
namespace {

bool is_number(const std::string& text, bool whole) {
  if (whole) {
    long long value = 0;
    const size_t sign = text.starts_with('+') ? 1 : 0;
    const auto [end, error] = std::from_chars(text.data() + sign, text.data() + text.size(), value);
    return end == text.data() + text.size() && error != std::errc::invalid_argument;
  }
  char* end = nullptr;
  std::strtod(text.c_str(), &end);
  return !text.empty() && *end == '\0';
}

// The command that the arguments name, as far as they name one.
const CLI::App& innermost(const CLI::App& app) {
  const auto parsed = app.get_subcommands();
  return parsed.empty() ? app : innermost(*parsed.front());
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

std::vector<std::string> flag_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

}  // namespace

std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates) {
  const std::string_view found = closest(word, candidates);
  return found.empty() ? "" : fmt::format(" (did you mean '{}'?)", found);
}

void tame_options(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (option->get_positional()) continue;
    option->allow_extra_args(false);
    const std::string type = option->get_type_name();
    const bool whole = type.starts_with("INT") || type.starts_with("UINT");
    if (!whole && !type.starts_with("FLOAT")) continue;
    // First of all checks: what is no number is not "out of range".
    option->transform(CLI::Validator(
        [whole](std::string& text) {
          if (is_number(text, whole)) return std::string();
          return fmt::format("'{}' is not a {}number", text, whole ? "whole " : "");
        },
        ""));
  }
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
    tame_options(*command);
  }
}

std::string describe(const CLI::ParseError& error, const CLI::App& app) {
  const CLI::App& command = innermost(app);
  const auto unknown = app.remaining(true);
  if (unknown.empty()) return error.what();
  const std::string& word = unknown.front();
  if (word.starts_with("-")) {
    const std::string name = word.substr(0, word.find('='));
    return fmt::format("there is no option '{}'{}", name, did_you_mean(name, flag_names(command)));
  }
  const auto commands = command_names(command);
  if (commands.empty()) return error.what();
  return fmt::format("there is no command '{}'{}", word, did_you_mean(word, commands));
}

}  // namespace tessera::cli
