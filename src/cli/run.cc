// tessera run: one prompt, one answer.
#include <unistd.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/terminal.h"
#include "decode/beam_search.h"
#include "decode/decoder.h"

namespace tessera::cli {
namespace {

const std::map<std::string, EarlyStopping> kEarlyStopping = {
    {"false", EarlyStopping::kNo}, {"true", EarlyStopping::kYes}, {"never", EarlyStopping::kNever}};

struct RunFlags {
  ModelFlags model;
  GenerateOptions generate;
  std::string prompt, prompt_file, system;
  bool keep_newline = false, chat = false, raw = false, stats = false;
  JsonFlags json;
};

// The file comes first, then what is asked about it. Without either, standard input is the file:
// never beside a prompt, as it may be somebody else's, such as the list that a loop reads.
std::string read_prompt(const RunFlags& flags, bool has_prompt, bool has_file) {
  if (!has_prompt && !has_file && is_terminal(STDIN_FILENO))
    throw CLI::RequiredError("PROMPT, -f FILE or text on standard input (to talk: tessera chat)");
  if (has_prompt && !has_file) return flags.prompt;
  std::string text = read_text(has_file ? flags.prompt_file : "-");
  // Editors and echo end the last line; the prompt is what stands in it.
  if (!flags.keep_newline && text.ends_with('\n')) text.pop_back();
  if (!has_file && text.empty())
    throw CLI::RequiredError("PROMPT, -f FILE or text on standard input (which is empty)");
  return has_prompt ? text + "\n\n" + flags.prompt : text;
}

// What goes into the chat template; nothing where the prompt is completed as it is.
std::vector<ChatMessage> messages_of(const LanguageModel& model, const RunFlags& flags) {
  const bool asks_for_chat = flags.chat || !flags.system.empty();
  if (flags.raw || !(asks_for_chat || model.has_chat_template())) return {};
  if (!model.has_chat_template()) warn_without_template(flags.model.model, "--raw");
  std::vector<ChatMessage> messages;
  if (!flags.system.empty()) messages.push_back({"system", flags.system});
  messages.push_back({"user", flags.prompt});
  return messages;
}

// Names are those of transformers.
void add_beam_flags(CLI::App& command, GenerateOptions& options) {
  command
      .add_option("--beams", options.beams,
                  "beam search: follow the N likeliest texts, and print the best at the end")
      ->check(CLI::Range(1, kMaxBeams))
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--length-penalty", options.length_penalty,
                  "of a beam search: scores are divided by the length to this power; more than 0 "
                  "is for long texts")
      ->capture_default_str();
  command
      .add_option_function<std::string>(
          "--early-stopping",
          [&options](const std::string& word) { options.early_stopping = kEarlyStopping.at(word); },
          "end a beam search: false: when no better text is expected; true: when N have "
          "ended; never: when none can be better")
      ->check(CLI::IsMember({"false", "true", "never"}))
      ->type_name("WORD")
      ->default_str("false");
}

// A beam search draws nothing: where no temperature is given, it is 0.
void settle_beams(const CLI::App& command, GenerateOptions& options) {
  if (options.beams == 1) {
    for (const char* flag : {"--length-penalty", "--early-stopping"}) {
      if (command.count(flag) > 0) throw CLI::ValidationError(flag, "needs --beams");
    }
    return;
  }
  if (command.count("--temp") == 0) options.sampling.temperature = 0;
  if (options.sampling.temperature != 0)
    throw CLI::ValidationError("--temp", "a beam search draws nothing: expected 0");
  if (command.count("--decoder") == 0) options.decoder = kPlainDecoder;
  if (options.decoder != kPlainDecoder)
    throw CLI::ValidationError("--decoder", "a beam search takes plain only");
}

void run(const CLI::App& command, RunFlags& flags) {
  if (flags.prompt.empty()) fail("the prompt is empty");
  require_utf8("the prompt", flags.prompt);
  require_utf8("the system prompt", flags.system);
  LanguageModel model = load_model(flags.model);
  if (flags.generate.beams == 1) settle_sampling(command, model, flags.generate.sampling);
  const std::vector<ChatMessage> messages = messages_of(model, flags);

  flags.generate.is_cancelled =
      interrupted;  // from here on Ctrl-C ends the answer, not the program
  reset_interrupted();
  const auto on_text = [&](std::string_view text) {
    if (!flags.json.wanted) print(text);
    return true;
  };
  const Generation generation = messages.empty()
                                    ? model.generate(flags.prompt, flags.generate, on_text)
                                    : model.chat(messages, flags.generate, on_text);
  if (flags.json.wanted) {
    auto json = to_json(generation, model.load_ms(), flags.generate.decoder);
    for (const BeamText& beam : generation.beams) {
      json["beams"].push_back({{"text", beam.text},
                               {"tokens", beam.tokens},
                               {"finish_reason", beam.finish_reason},
                               {"score", beam.score}});
    }
    json["prompt"] = messages.empty() ? flags.prompt : model.render_chat(messages);
    print_json(json, flags.json);
  } else {
    print("\n");
  }
  warn_if_cut(model, generation, flags.generate.max_tokens);
  if (flags.stats && !flags.json.wanted)
    fmt::print(stderr, "load {:.0f} ms; {}; {}\n", model.load_ms(), describe_run(generation),
               describe_sampling(flags.generate.sampling));
}

}  // namespace

void add_run(CLI::App& app) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* command = app.add_subcommand(
      "run",
      "answer one prompt: by the model's chat template, unless it has none or --raw is given");
  add_model_flags(*command, flags->model);
  add_draft_flag(*command, flags->model.load);
  auto* prompt = command->add_option("-p,--prompt,PROMPT", flags->prompt,
                                     "the prompt; without one, standard input is read");
  auto* file = command->add_option(
      "-f,--file", flags->prompt_file,
      "a file with the prompt, or with what PROMPT is about; -: standard input");
  command->add_flag("--keep-newline", flags->keep_newline,
                    "keep the line break at the end of the file, which is left out otherwise");
  command
      ->add_option("-n", flags->generate.max_tokens,
                   "tokens to generate at most; -1: until the answer ends")
      ->check(CLI::Range(-1, 1 << 24))
      ->capture_default_str();
  auto* raw = command->add_flag("--raw", flags->raw, "complete the prompt as it is");
  command
      ->add_flag("--chat", flags->chat,
                 "use a chat template (ChatML) also where the model has none")
      ->excludes(raw);
  command->add_option("--system", flags->system, "system prompt; implies --chat")->excludes(raw);
  add_chat_template_flag(*command, flags->model.load.chat_template)->excludes(raw);
  add_parse_special_flag(*command, flags->generate.parse_special);
  add_sampling_flags(*command, flags->generate);
  add_beam_flags(*command, flags->generate);
  command
      ->add_option_function<std::string>(
          "--prediction",
          [flags](const std::string& path) { flags->generate.prediction = read_text(path); },
          "a file that the answer is expected to resemble, such as the one that it edits: it then "
          "comes sooner")
      ->type_name("FILE");
  add_json_flags(*command, flags->json, "print one JSON object when done,",
                 "  text, tokens, finish_reason, seed, prompt\n"
                 "  usage: {prompt_tokens, completion_tokens, total_tokens}\n"
                 "  timings: {load_ms, prefill_ms, decode_ms, prefill_tokens_per_second,\n"
                 "            decode_tokens_per_second}\n"
                 "  decoder: {name, steps, drafted, accepted, accepted_prediction,\n"
                 "            rejected_prediction}\n"
                 "  beams: [{text, tokens, finish_reason, score}], with --beams\n");
  command->add_flag("--stats", flags->stats, "say how fast it was, on standard error");
  command->callback([flags, command, prompt, file] {
    settle_beams(*command, flags->generate);
    flags->prompt = read_prompt(*flags, prompt->count() > 0, file->count() > 0);
    run(*command, *flags);
  });
}

}  // namespace tessera::cli
