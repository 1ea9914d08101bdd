// tessera tokenize: text to token ids.
#include <memory>

#include "base/error.h"
#include "cli/commands.h"
#include "files/model_reference.h"
#include "files/open.h"
#include "text/chat.h"
#include "text/tokenizer.h"
#include "text/well_known_templates.h"

namespace tessera::cli {
namespace {

struct TokenizeFlags {
  std::string model, text, file, chat_template;
  bool chat = false, no_special = false, parse_special = true;
  JsonFlags json;
};

// The text as a message of the user, in the model's chat template or the one that is asked for.
std::vector<Token> tokenize_chat(const TokenizeFlags& flags, const Checkpoint& checkpoint,
                                 const Tokenizer& tokenizer, const std::string& text) {
  ChatTemplates templates = checkpoint.read_chat_templates();
  if (!flags.chat_template.empty()) {
    templates = {.standard = find_chat_template(flags.chat_template), .named = {}};
  }
  if (!templates.standard) {
    fail("'{}' has no chat template: --chat-template gives it one", flags.model);
  }
  const ChatFormats formats(std::move(templates), tokenizer);
  ChatOptions options;
  options.parse_special = flags.parse_special;
  const ChatPrompt prompt = make_chat_prompt(formats.standard(), {{"user", text}}, options);
  return tokenizer.encode(prompt.text,
                          {.add_special = !flags.no_special, .literal = prompt.literal});
}

void tokenize(const TokenizeFlags& flags) {
  const auto checkpoint = open_checkpoint(resolve_model(flags.model));
  const auto tokenizer = Tokenizer::make(checkpoint->read_tokenizer());
  const std::string text = flags.file.empty() ? flags.text : read_text(flags.file);
  const bool chat = flags.chat || !flags.chat_template.empty();
  const auto tokens = chat ? tokenize_chat(flags, *checkpoint, *tokenizer, text)
                           : tokenizer->encode(text, {.add_special = !flags.no_special,
                                                      .parse_special = flags.parse_special});
  if (flags.json.wanted) return print_json({{"tokens", tokens}}, flags.json);
  for (const Token token : tokens)
    print(fmt::format("{:>7}  {}\n", token,
                      nlohmann::json(tokenizer->piece(token, true))
                          .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
}

}  // namespace

void add_tokenize(CLI::App& app) {
  auto flags = std::make_shared<TokenizeFlags>();
  CLI::App* command = app.add_subcommand("tokenize", "show the tokens of a text");
  command->add_option("MODEL", flags->model, "a GGUF file or a model's name")->required();
  auto* text = command->add_option("TEXT", flags->text, "the text");
  auto* file =
      command->add_option("--file", flags->file, "read the text from a file; -: standard input");
  text->excludes(file);
  command->add_flag("--no-special", flags->no_special, "do not add bos and eos");
  add_parse_special_flag(*command, flags->parse_special);
  command->add_flag("--chat", flags->chat, "as a message of the user, in the chat template");
  add_chat_template_flag(*command, flags->chat_template)
      ->description("in this chat template: a Jinja file or a name, as of run; implies --chat");
  add_json_flags(*command, flags->json, "print one JSON object", "  tokens\n");
  command->callback([flags, text, file] {
    if (text->count() + file->count() == 0) throw CLI::RequiredError("TEXT or --file");
    tokenize(*flags);
  });
}

}  // namespace tessera::cli
