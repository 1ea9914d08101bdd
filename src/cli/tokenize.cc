// tessera tokenize: text to token ids.
#include <memory>

#include "base/error.h"
#include "cli/commands.h"
#include "files/model_reference.h"
#include "files/open.h"
#include "text/tokenizer.h"

namespace tessera::cli {
namespace {

struct Flags {
  std::string model, text, file;
  bool no_special = false, no_parse_special = false;
  JsonFlags json;
};

void tokenize(const Flags& flags) {
  const auto checkpoint = open_checkpoint(resolve_model(flags.model));
  const auto tokenizer = Tokenizer::make(checkpoint->read_tokenizer());
  const std::string text = flags.file.empty() ? flags.text : read_text(flags.file);
  const auto tokens = tokenizer->encode(
      text, {.add_special = !flags.no_special, .parse_special = !flags.no_parse_special});
  if (flags.json.wanted) return print_json({{"tokens", tokens}}, flags.json);
  for (const Token token : tokens)
    print(fmt::format("{:>7}  {}\n", token,
                      nlohmann::json(tokenizer->piece(token, true))
                          .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
}

}  // namespace

void add_tokenize(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("tokenize", "show the tokens of a text");
  command->add_option("MODEL", flags->model, "a GGUF file or a model's name")->required();
  auto* text = command->add_option("TEXT", flags->text, "the text");
  auto* file =
      command->add_option("--file", flags->file, "read the text from a file; -: standard input");
  text->excludes(file);
  command->add_flag("--no-special", flags->no_special, "do not add bos and eos");
  command->add_flag("--no-parse-special", flags->no_parse_special,
                    "special tokens spelled out in the text are plain text");
  add_json_flags(*command, flags->json, "print {\"tokens\": [...]}");
  command->callback([flags, text, file] {
    if (text->count() + file->count() == 0) throw CLI::RequiredError("TEXT or --file");
    tokenize(*flags);
  });
}

}  // namespace tessera::cli
