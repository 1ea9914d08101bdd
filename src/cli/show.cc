// tessera show: what a model is, in a few lines.
#include <unistd.h>

#include <memory>

#include "base/error.h"
#include "base/human_bytes.h"
#include "base/printable.h"
#include "cli/commands.h"
#include "cli/model_lines.h"
#include "cli/terminal.h"
#include "files/model_reference.h"
#include "files/open.h"

namespace tessera::cli {
namespace {

struct ShowFlags {
  std::string model;
  bool chat_template = false;
  JsonFlags json;
};

std::string or_dash(const std::optional<int64_t>& number) {
  return number ? fmt::format("{}", *number) : "-";
}
std::string or_dash(const std::string& text) {
  return text.empty() ? "-" : printable(text);
}

// "134.5 M", "1.54 B".
std::string describe_count(uint64_t count) {
  const auto value = static_cast<double>(count);
  if (value >= 1e9) return fmt::format("{:.2f} B", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.1f} M", value / 1e6);
  return fmt::format("{}", count);
}

std::string describe(const ModelSummary& model, const std::filesystem::path& path) {
  std::string text;
  const auto line = [&](std::string_view what, std::string_view value) {
    text += fmt::format("{:<14}  {}\n", what, value);
  };
  line("name", or_dash(model.name));
  line("architecture", or_dash(model.architecture));
  line("parameters", describe_count(model.parameters));
  line("layers", or_dash(model.layers));
  line("embedding", or_dash(model.embedding));
  line("context", or_dash(model.context) + " tokens");
  line("quantization",
       fmt::format("{}, {:.2f} bits per weight", quantization_of(model), model.bits_per_weight()));
  line("size", human_bytes(model.file_bytes));
  line("chat template", model.chat_template ? "yes; --template prints it" : "no");
  line("licence", or_dash(model.license));
  line("file", printable(path.string(), 4096));
  return text;
}

nlohmann::ordered_json to_json(const ModelSummary& model, const std::filesystem::path& path) {
  const auto or_null = [](const auto& value) {
    return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
  };
  return {{"name", model.name},
          {"architecture", model.architecture},
          {"parameters", model.parameters},
          {"layers", or_null(model.layers)},
          {"embedding", or_null(model.embedding)},
          {"context", or_null(model.context)},
          {"quantization", quantization_of(model)},
          {"bits_per_weight", model.bits_per_weight()},
          {"bytes", model.file_bytes},
          {"chat_template", or_null(model.chat_template)},
          {"license", model.license},
          {"file", path.string()}};
}

// As it is, for programs; a terminal gets no control characters.
void print_template(const ModelSummary& model, const std::string& reference) {
  if (!model.chat_template) fail("'{}' has no chat template", reference);
  std::string_view rest = *model.chat_template;
  if (!is_terminal(STDOUT_FILENO)) return print(std::string(rest) + "\n");
  for (;;) {
    const size_t end = rest.find('\n');
    print(printable(rest.substr(0, end), rest.size()) + "\n");
    if (end == rest.npos) return;
    rest.remove_prefix(end + 1);
  }
}

}  // namespace

void add_show(CLI::App& app) {
  auto flags = std::make_shared<ShowFlags>();
  CLI::App* command = app.add_subcommand("show", "show what a model is, in a few lines");
  command->add_option("MODEL", flags->model, "a GGUF file or a model's name")->required();
  auto* chat_template =
      command->add_flag("--template", flags->chat_template, "print its chat template");
  add_json_flags(
      *command, flags->json, "print one JSON object",
      "  name, architecture, parameters, layers, embedding, context, quantization,\n"
      "  bits_per_weight, bytes, chat_template, license, file; null: the file says none\n");
  chat_template->excludes(command->get_option("--json"), command->get_option("--pretty"));
  command->callback([flags] {
    const std::filesystem::path path = resolve_model(flags->model);
    const ModelSummary summary = summarize(*open_checkpoint(path));
    if (flags->chat_template) return print_template(summary, flags->model);
    if (flags->json.wanted) return print_json(to_json(summary, path), flags->json);
    print(describe(summary, path));
  });
}

}  // namespace tessera::cli
