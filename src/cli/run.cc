// tessera run: one prompt, one answer.
#include <memory>

#include "base/error.h"
#include "cli/commands.h"

namespace tessera::cli {
namespace {

struct Flags {
  ModelFlags model;
  GenerateOptions generate;
  std::string prompt, prompt_file, system;
  bool keep_newline = false, chat = false, json = false, stats = false;
};

void run(Flags& flags) {
  if (!flags.prompt_file.empty()) {
    flags.prompt = read_text(flags.prompt_file);
    // Editors end the last line; the prompt is what stands in it.
    if (!flags.keep_newline && flags.prompt.ends_with('\n')) flags.prompt.pop_back();
  }
  require_utf8("the prompt", flags.prompt);
  require_utf8("the system prompt", flags.system);
  LanguageModel model = load_model(flags.model);

  std::string prompt = flags.prompt;
  if (flags.chat || !flags.system.empty()) {
    std::vector<ChatMessage> messages;
    if (!flags.system.empty()) messages.push_back({"system", flags.system});
    messages.push_back({"user", flags.prompt});
    prompt = model.render_chat(messages);
  }

  flags.generate.is_cancelled =
      interrupted;  // from here on Ctrl-C ends the answer, not the program
  reset_interrupted();
  const Generation generation = model.generate(prompt, flags.generate, [&](std::string_view text) {
    if (!flags.json) print(text);
    return true;
  });
  if (flags.json) {
    auto json = to_json(generation, model.load_ms(), flags.generate.decoder);
    json["prompt"] = prompt;
    print_json(json);
    return;
  }
  print("\n");
  if (flags.stats)
    fmt::print(stderr, "load {:.0f} ms; {}\n", model.load_ms(), describe_speed(generation));
}

}  // namespace

void add_run(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("run", "answer one prompt");
  add_model_flags(*command, flags->model);
  auto* prompt = command->add_option("-p,--prompt", flags->prompt, "the prompt");
  auto* file = command->add_option("-f,--file", flags->prompt_file,
                                   "read the prompt from a file; -: standard input");
  prompt->excludes(file);
  command->add_flag("--keep-newline", flags->keep_newline,
                    "keep the line break at the end of the file, which is left out otherwise");
  command
      ->add_option("-n", flags->generate.max_tokens,
                   "tokens to generate at most; -1: until the answer ends")
      ->check(CLI::Range(-1, 1 << 24))
      ->capture_default_str();
  command->add_flag("--chat", flags->chat, "put the prompt into the model's chat template");
  command->add_option("--system", flags->system, "system prompt; implies --chat");
  add_sampling_flags(*command, flags->generate);
  command->add_flag("--json", flags->json, "print one JSON object when done");
  command->add_flag("--stats", flags->stats, "say how fast it was, on standard error");
  command->callback([flags, prompt, file] {
    if (prompt->count() + file->count() == 0) throw CLI::RequiredError("-p");
    run(*flags);
  });
}

}  // namespace tessera::cli
